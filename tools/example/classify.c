#include <attn.h>
#include <stdio.h>

static int classify(attn_session *session, const char *photo, attn_error *err)
{
    attn_class top[3];
    size_t count;
    if (attn_set_image(session, NULL, photo, err) || attn_prepare(session, err) ||
        attn_run(session, err) || attn_top(session, NULL, 0, 3, top, &count, err))
        return 1;
    for (size_t i = 0; i < count; i++)
        printf("%5.1f %%  %s\n", 100 * (double)top[i].probability,
               top[i].label ? top[i].label : "?");
    return 0;
}

int main(int argc, char **argv)
{
    attn_model *model = NULL;
    attn_session *session = NULL;
    attn_error err;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL PHOTO\n", argv[0]);
        return 2;
    }
    int failed = attn_model_open(&model, argv[1], NULL, &err) ||
                 attn_session_open(&session, model, NULL, &err) || classify(session, argv[2], &err);
    if (failed) fprintf(stderr, "%s\n", err.text);
    attn_session_close(session);
    attn_model_close(model);
    return failed;
}
