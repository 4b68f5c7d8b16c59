/* The HTML pages that ship inside the command: a page is its template with one JSON object, the
 * data, where the template has PAGE_MARK. */
#ifndef TOOLS_PAGE_H
#define TOOLS_PAGE_H

#include <stddef.h>

#define PAGE_MARK "@DATA@"

typedef struct page_template {
    const char *name; /* "attention.html" */
    const char *text; /* terminated */
    size_t length;
} page_template;

extern const page_template page_templates[]; /* ended by a NULL name */

#endif
