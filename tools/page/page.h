/* The HTML page that ships inside the command: its template with one JSON object, the
 * data, where the template has PAGE_MARK. */
#ifndef TOOLS_PAGE_H
#define TOOLS_PAGE_H

#include "runtime/base/embedded.h"

#define PAGE_MARK "@DATA@"

extern const attn_embedded attention_page; /* attention.html */

#endif
