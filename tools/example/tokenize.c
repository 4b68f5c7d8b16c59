/* The tokens of a text: tokenize MODEL_FOLDER TEXT */
#include <attn_text.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    attn_tokenizer *tokenizer;
    attn_encoding encoding;
    attn_error err = {0};
    if (argc != 3) return 2;
    attn_status status = attn_tokenizer_open(&tokenizer, argv[1], NULL, &err);
    if (!status)
        status = attn_tokenizer_encode(tokenizer, argv[2], strlen(argv[2]), NULL, 0, NULL,
                                       &encoding, &err);
    if (status) {
        fprintf(stderr, "%s\n", err.text);
        attn_tokenizer_close(tokenizer);
        return 1;
    }
    for (size_t i = 0; i < encoding.count; i++)
        printf("%ld %s\n", (long)encoding.ids[i],
               attn_tokenizer_token(tokenizer, encoding.ids[i], NULL));
    attn_encoding_free(tokenizer, &encoding);
    attn_tokenizer_close(tokenizer);
    return 0;
}
