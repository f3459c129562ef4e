/* bench/load_plan.c: the command line of bench_load, and the files that it names. */
#include "bench/load_plan.h"
#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 256 * 1024 * 1024, HEAD_MAX = 4096 };

static bool plan_refuse(const char *what, const char *why)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, why);
    return false;
}

static bool plan_read_file(const char *path, struct str *out)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    bool good = fseek(file, 0, SEEK_END) == 0;
    const long size = ftell(file);
    good = good && size > 0 && size < FILE_MAX && fseek(file, 0, SEEK_SET) == 0;
    if (good) {
        char *text = mem_alloc((size_t)size);
        good = fread(text, 1, (size_t)size, file) == (size_t)size;
        *out = (struct str){ text, (size_t)size };
    }
    fclose(file);
    return good;
}

/* Each line of a file *.lines is a body of its own; any other file is one. */
static void plan_divide(struct kind *kind, struct str text, bool in_lines)
{
    size_t lines = 1;
    for (size_t i = 0; in_lines && i < text.len; i++)
        lines += text.at[i] == '\n';
    kind->bodies = mem_alloc(lines * sizeof *kind->bodies);
    while (text.len > 0) {
        const char *end = in_lines ? memchr(text.at, '\n', text.len) : NULL;
        const size_t len = end ? (size_t)(end - text.at) : text.len;
        if (len > 0)
            kind->bodies[kind->body_count++] = (struct str){ text.at, len };
        text = (struct str){ text.at + len + (end != NULL), text.len - len - (end != NULL) };
    }
}

static bool plan_ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* NAME,WEIGHT,PATH,FILE */
static bool plan_read_kind(const struct plan *plan, struct group *group, char *text)
{
    char *rest = text, *head = mem_alloc(HEAD_MAX);
    const char *name = strsep(&rest, ","), *weight = strsep(&rest, ","), *path = strsep(&rest, ",");
    struct str body;
    if (group->kind_count >= KINDS_MAX || !rest)
        return plan_refuse(name, "too many kinds, or no NAME,WEIGHT,PATH,FILE");
    if (!plan_read_file(rest, &body))
        return plan_refuse(rest, "can't be read");
    struct kind *kind = &group->kinds[group->kind_count++];
    *kind = (struct kind){ .name = str_of(name), .weight = strtod(weight, NULL) };
    plan_divide(kind, body, plan_ends_with(rest, ".lines"));
    const int len = snprintf(head, HEAD_MAX,
                             "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: %s\r\nContent-Type: application/%s\r\n"
                             "Content-Length: ",
                             path, plan->authorization,
                             plan_ends_with(rest, ".json") ? "json" : "x-www-form-urlencoded");
    kind->head = (struct str){ head, (size_t)len };
    group->weights += kind->weight;
    return kind->body_count > 0 && kind->weight > 0 && len < HEAD_MAX ? true
                                                                      : plan_refuse(name, "no body or no weight");
}

/* RATE CLIENTS WHEN_REFUSED KIND…, up to the next "--". */
static bool plan_read_group(struct plan *plan, char ***at)
{
    static const char *const words[] = {
        [REFUSED_DROPS] = "drop", [REFUSED_AGAIN] = "again", [REFUSED_LATER] = "later"
    };
    struct group *group = &plan->groups[plan->group_count++];
    char **arg = *at;
    if (!arg[0] || !arg[1] || !arg[2])
        return plan_refuse("--", "RATE CLIENTS drop|again|later KIND…");
    *group = (struct group){ .rate = strtod(arg[0], NULL), .client_count = strtoul(arg[1], NULL, 10) };
    while (group->when_refused < REFUSED_LATER && strcmp(arg[2], words[group->when_refused]) != 0)
        group->when_refused++;
    for (arg += 3; *arg && strcmp(*arg, "--") != 0; arg++)
        if (!plan_read_kind(plan, group, *arg))
            return false;
    *at = arg;
    plan->client_count += group->client_count;
    return group->kind_count > 0 && group->client_count > 0 && plan->client_count <= CLIENTS_MAX && group->rate >= 0
               ? true
               : plan_refuse("--", "a group has clients, not too many, and kinds");
}

bool plan_read(struct plan *plan, int argc, char **argv)
{
    if (argc < 7)
        return plan_refuse("usage", "bench_load awake|asleep PORT AUTHORIZATION WARM_S SECONDS -- GROUP [-- GROUP]…");
    *plan = (struct plan){ .sleeps = strcmp(argv[1], "asleep") == 0,
                           .port = argv[2],
                           .authorization = argv[3],
                           .warm_s = strtod(argv[4], NULL),
                           .seconds = strtod(argv[5], NULL) };
    for (char **arg = argv + 6; *arg;) {
        if (strcmp(*arg, "--") != 0 || plan->group_count >= GROUPS_MAX)
            return plan_refuse(*arg, "is no group");
        arg++;
        if (!plan_read_group(plan, &arg))
            return false;
    }
    return plan->group_count > 0;
}
