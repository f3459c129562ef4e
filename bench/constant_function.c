/* bench/constant_function.c: a function of AWS Lambda that has its answer ready: what an event costs besides what the
 * service does with it. It speaks to the runtime API by the service's own code (lambda/runtime.h).
 *
 *     bench_constant_function ANSWER_FILE [AUTHORITY SIGN_FILE]
 *
 * answers each event with that file, which is JSON, until it is killed; if told so, after a call of Sign with that body
 * at a KMS that checks no signatures (kms.c). */
#include "lambda/runtime.h"
#include "net/plain.h"
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 16 * 1024, NOTHING_STOPS_IT = -1 };

static struct str text_of(const char *path)
{
    char *text = mem_alloc(ANSWER_MAX);
    FILE *file = fopen(path, "rbe");
    const size_t len = file ? fread(text, 1, ANSWER_MAX, file) : 0;
    if (file)
        fclose(file);
    return (struct str){ text, len };
}

static struct err sign(struct plain *kms, struct arena *arena, struct str body)
{
    static const struct header headers[] = { { STR_INIT("Content-Type"), STR_INIT("application/x-amz-json-1.1") },
                                             { STR_INIT("X-Amz-Target"), STR_INIT("TrentService.Sign") } };
    const struct plain_request request = { .method = STR("POST"),
                                           .target = STR("/"),
                                           .headers = { headers, 2 },
                                           .body = body,
                                           .timeout_ms = 10000,
                                           .answer_max = ANSWER_MAX };
    struct plain_answer answer;
    TRY(plain_send(kms, arena, &request, &answer));
    return answer.status == 200 ? OK : failed(ERR_UNAVAILABLE, "the KMS does not sign");
}

/* `kms`: NULL for none. */
static struct err answer_next(struct runtime *runtime, struct str answer, struct plain *kms, struct str sign_body)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct runtime_event event;
    TRY(runtime_next(runtime, &arena, &event));
    if (kms)
        TRY(sign(kms, &arena, sign_body));
    return runtime_answer(runtime, &arena, event.id, answer);
}

int main(int argc, char **argv)
{
    const char *authority = getenv("AWS_LAMBDA_RUNTIME_API");
    if ((argc != 2 && argc != 4) || !authority) {
        fprintf(stderr, "usage: bench_constant_function ANSWER_FILE [AUTHORITY SIGN_FILE], in AWS Lambda\n");
        return 2;
    }
    const struct str answer = text_of(argv[1]), sign_body = argc == 4 ? text_of(argv[3]) : STR("");
    struct plain *kms = argc == 4 ? plain_new(argv[2], NOTHING_STOPS_IT) : NULL;
    if (answer.len == 0) {
        fprintf(stderr, "bench_constant_function: %s can't be read\n", argv[1]);
        return 3;
    }
    struct runtime *runtime = runtime_new(authority, NOTHING_STOPS_IT);
    struct err err = OK;
    while (!err.code)
        err = answer_next(runtime, answer, kms, sign_body);
    runtime_free(runtime);
    fprintf(stderr, "bench_constant_function: %s\n", err.why);
    return 3;
}
