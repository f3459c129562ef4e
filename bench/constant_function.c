/* bench/constant_function.c: a function of AWS Lambda that has its answer ready: what an event costs besides what the
 * service does with it. It speaks to the runtime API by the service's own code (lambda/runtime.h).
 *
 *     bench_constant_function ANSWER_FILE
 *
 * answers each event with that file, which is JSON, until it is killed. */
#include "lambda/runtime.h"
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 16 * 1024, NOTHING_STOPS_IT = -1 };

static struct str answer_from(const char *path)
{
    static char text[ANSWER_MAX];
    FILE *file = fopen(path, "rbe");
    const size_t len = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
    return (struct str){ text, len };
}

static struct err answer_next(struct runtime *runtime, struct str answer)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct runtime_event event;
    TRY(runtime_next(runtime, &arena, &event));
    return runtime_answer(runtime, &arena, event.id, answer);
}

int main(int argc, char **argv)
{
    const char *authority = getenv("AWS_LAMBDA_RUNTIME_API");
    if (argc != 2 || !authority) {
        fprintf(stderr, "usage: bench_constant_function ANSWER_FILE, in AWS Lambda\n");
        return 2;
    }
    const struct str answer = answer_from(argv[1]);
    if (answer.len == 0) {
        fprintf(stderr, "bench_constant_function: %s can't be read\n", argv[1]);
        return 3;
    }
    struct runtime *runtime = runtime_new(authority, NOTHING_STOPS_IT);
    struct err err = OK;
    while (!err.code)
        err = answer_next(runtime, answer);
    runtime_free(runtime);
    fprintf(stderr, "bench_constant_function: %s\n", err.why);
    return 3;
}
