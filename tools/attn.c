/* attn: the command line. One file per command. */
#include "tools/cli.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"classify", cmd_classify, "labels of images or texts, entities in texts; a heat map"},
    {"read", cmd_read, "the text in images, and what each character was read from"},
    {"answer", cmd_answer, "the part of a text that answers a question"},
    {"fill", cmd_fill, "what stands in the masked place of a text"},
    {"embed", cmd_embed, "a vector for each text or image"},
    {"run", cmd_run, "raw tensors in and out, any model"},
    {"trace", cmd_trace,
     "the five steps, layer by layer; first layer that differs from a reference"},
    {"explain", cmd_explain, "every attention map as a picture"},
    {"describe", cmd_describe, "the model's description, ready to be saved and edited"},
    {"inspect", cmd_inspect, "layers, weights and memory"},
    {"check", cmd_check, "everything validated, nothing run"},
    {"bench", cmd_bench, "latency, throughput, time per layer"},
    {"generate", cmd_generate, "a text that goes on, or an answer, token by token"},
    {"tokenize", cmd_tokenize, "a text as tokens and ids, and back"},
    {"import", cmd_import, "an ONNX file as a folder: a description to read, and weights"},
    {"pack", cmd_pack, "the weights in another precision, or kept as this CPU takes them"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *to)
{
    fprintf(to, "attn %s: runs small attention models\n\nusage: attn COMMAND MODEL ...\n\n",
            attn_version());
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].what);
    fprintf(
        to,
        "\nMODEL is a folder (attn.json, or a Hugging Face folder), a description, .gguf or\n"
        ".onnx file.\n"
        "All take --threads N, --dtype TYPE, --max-mem SIZE, --json, --quiet; attn COMMAND --help\n"
        "says more.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("attn %s\n", attn_version());
        return EXIT_DONE;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, argv[1]) == 0) return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "attn: there is no command \"%s\"; attn --help lists them\n", argv[1]);
    return EXIT_USAGE;
}
