/* cli/options.c: what all commands share: reading arguments, calling the service from within, reporting. */
#include "cli/cli.h"
#include "observe/log.h"
#include "service/message.h"
#include "service/service.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 128, INPUT_MAX = 64 * 1024 };

static const struct option_row *options_row_of(const struct option_row *rows, size_t count, const char *arg)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].flag, arg) == 0)
            return &rows[i];
    return NULL;
}

static bool options_usage(const char *what, const char *arg)
{
    fprintf(stderr, "token-service: %s: %s (see token-service --help)\n", what, arg);
    return false;
}

static bool options_take_one_more(struct option_texts *texts, const char *value)
{
    if (texts->count == OPTION_TEXTS_MAX)
        return options_usage("too often on the command line, with this value", value);
    texts->at[texts->count++] = value;
    return true;
}

static bool options_take_value(const struct option_row *row, char *value)
{
    char *end = NULL;
    if (row->kind == OPTION_TEXTS)
        return options_take_one_more(row->to, value);
    if (row->kind == OPTION_TEXT) {
        *(const char **)row->to = value;
        return true;
    }
    errno = 0;
    long long seconds = strtoll(value, &end, 10);
    *(int64_t *)row->to = seconds;
    return (errno == 0 && end != value && *end == '\0' && seconds > 0 && seconds <= INT32_MAX) ||
           options_usage("not a number of seconds", value);
}

/* An option that nobody reads would pass for a check that was made, or a change. */
static bool options_fits_verb(const struct option_row *row, const char *command, const char *verb)
{
    if (!row->verbs || !verb || str_has_word(str_of(row->verbs), str_of(verb)))
        return true;
    fprintf(stderr, "token-service: %s %s takes no %s (see token-service %s --help)\n", command, verb, row->flag,
            command);
    return false;
}

/* Without its value: whoever takes a secret for a setting with a flag has put it there. */
static bool options_refuse_unknown(const char *arg)
{
    fprintf(stderr, "token-service: unknown argument: %.*s (see token-service --help)\n", (int)strcspn(arg, "="), arg);
    return false;
}

bool options_read(int argc, char **argv, const struct option_row *rows, size_t count, const char **words,
                  size_t words_max, struct settings *settings)
{
    const struct option_row *given[ARGS_MAX];
    size_t given_count = 0;
    char *rest[ARGS_MAX + 1] = { argv[0] };
    int rest_count = 1, next = 1;
    size_t words_count = 0;
    if (argc > ARGS_MAX)
        return options_usage("too many arguments", argv[0]);
    for (int i = 1; i < argc; i++) {
        const struct option_row *row = options_row_of(rows, count, argv[i]);
        if (row)
            given[given_count++] = row;
        if (row && row->kind == OPTION_SWITCH)
            *(bool *)row->to = true;
        else if (row && i + 1 == argc)
            return options_usage("the option needs a value", argv[i]);
        else if (row && !options_take_value(row, argv[++i]))
            return false;
        else if (!row && strncmp(argv[i], "--", 2) != 0 && words_count < words_max)
            words[words_count++] = argv[i];
        else if (!row) {
            rest[rest_count++] = argv[i];
            /* a setting's value, when it stands apart: "--data-dir DIR" */
            if (!strchr(argv[i], '=') && i + 1 < argc)
                rest[rest_count++] = argv[++i];
        }
    }
    for (size_t i = 0; i < given_count; i++)
        if (words_max > 0 && !options_fits_verb(given[i], argv[0], words[0]))
            return false;
    struct err err = settings_read(rest_count, rest, &next, settings);
    if (err.code) {
        fprintf(stderr, "token-service: %s\n", err.why);
        return false;
    }
    if (next < rest_count) {
        settings_release(settings);
        return options_refuse_unknown(rest[next]);
    }
    log_configure((enum log_level)settings->log_level, (enum log_format)settings->log_format);
    return true;
}

/* *request has what is asked for; the rest is the same for all. */
static int options_call(struct app *app, struct request *request, struct str *answer)
{
    struct timespec now;
    struct response response;
    clock_gettime(CLOCK_REALTIME, &now);
    request->peer = STR("local");
    request->is_local_operator = true;
    request->now_s = now.tv_sec;
    request->now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    request->id = STR("command-line");
    local_call(&app->service, request, &response);
    *answer = buf_str(&response.body);
    return response.status;
}

int operator_call(struct app *app, struct arena *arena, const char *path, struct str body, struct str *answer)
{
    const struct header type = { STR("Content-Type"), STR("application/json") };
    struct request request = {
        .arena = arena, .method = METHOD_POST, .path = str_of(path), .headers = { &type, 1 }, .body = body
    };
    return options_call(app, &request, answer);
}

int operator_ask(struct app *app, struct arena *arena, const char *method, struct str path, struct str query,
                 struct str *answer)
{
    struct request request = { .arena = arena, .method = method_named(str_of(method)), .path = path, .query = query };
    return options_call(app, &request, answer);
}

bool read_stdin(struct arena *arena, struct str *out)
{
    char *text = arena_alloc(arena, INPUT_MAX);
    size_t len = fread(text, 1, INPUT_MAX, stdin);
    if (len == INPUT_MAX || ferror(stdin))
        return false;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    *out = (struct str){ text, len };
    return len > 0;
}

bool read_file(struct arena *arena, const char *path, struct str *out)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    char *text = arena_alloc(arena, INPUT_MAX);
    size_t len = fread(text, 1, INPUT_MAX, file);
    bool good = !ferror(file) && len < INPUT_MAX;
    fclose(file);
    *out = (struct str){ text, len };
    return good;
}

bool output_is_written(void)
{
    return fflush(stdout) == 0 && !ferror(stdout);
}

int report(struct err err)
{
    if (!err.code)
        return EXIT_OK;
    log_sentence(err.why);
    switch (err.code) {
    case ERR_INVALID_REQUEST:
    case ERR_REDIRECT_URI:
    case ERR_CLIENT_METADATA:
        return EXIT_USAGE;
    case ERR_UNAVAILABLE:
    case ERR_INTERNAL:
        return EXIT_FAILED;
    default:
        return EXIT_NO;
    }
}
