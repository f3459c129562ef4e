/* cli/users.c: token-service users add | list | password | change | disable | enable | remove: the users of the
 * built-in login (oauth/users.h). It needs no store and no server; a server that runs reads the file again. */
#include "base/hex.h"
#include "base/json.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/user_claims.h"
#include "jose/password.h"
#include "oauth/users.h"
#include <stdio.h>
#include <time.h>

enum users_action { USERS_ADD, USERS_PASSWORD, USERS_CHANGE, USERS_DISABLE, USERS_ENABLE, USERS_REMOVE };

/* One command's wish, for users_alter(). */
struct users_wish {
    enum users_action action;
    struct user user; /* name; for a new one all of it, for a new password its hash */
    const struct option_texts *claims;
    int64_t now_s;
};

static const struct err no_user = { ERR_NOT_FOUND, "there is no user of this name" };

/* --- changes ----------------------------------------------------------------------------------------------------- */

static struct err users_add_one(struct user_list *list, const struct user *user)
{
    if (user_named(list, user->username))
        return failed(ERR_CONFLICT, "there is already a user of this name");
    if (user_of_subject(list, user->subject))
        return failed(ERR_CONFLICT, "there is already a user with this subject");
    if (list->count == USERS_MAX)
        return failed(ERR_CONFLICT, "there are 10000 users already, and no more fit");
    list->at[list->count++] = *user;
    return OK;
}

static void users_remove_one(struct user_list *list, const struct user *user)
{
    const size_t at = (size_t)(user - list->at);
    for (size_t i = at + 1; i < list->count; i++)
        list->at[i - 1] = list->at[i];
    list->count--;
}

static struct err users_apply(void *context, struct arena *arena, struct user_list *list)
{
    const struct users_wish *wish = context;
    struct user *user = user_named(list, wish->user.username);
    if (!user && wish->action != USERS_ADD)
        return no_user;
    switch (wish->action) {
    case USERS_ADD:
        return users_add_one(list, &wish->user);
    case USERS_PASSWORD:
        user->password_hash = wish->user.password_hash;
        return OK;
    case USERS_CHANGE:
        return user_claims_build(arena, user->claims, wish->claims, wish->now_s, &user->claims);
    case USERS_DISABLE:
    case USERS_ENABLE:
        user->is_disabled = wish->action == USERS_DISABLE;
        return OK;
    case USERS_REMOVE:
        users_remove_one(list, user);
        return OK;
    }
    return failed(ERR_INTERNAL, "this is no change of users");
}

/* --- what a wish needs ------------------------------------------------------------------------------------------- */

/* A random UUID (RFC 9562 section 5.4), as the platform's users have. */
static struct str users_new_subject(struct arena *arena)
{
    unsigned char bytes[16];
    char digits[33];
    random_bytes(bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    (void)hex_write(bytes, sizeof bytes, digits);
    return arena_printf(arena, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12, digits + 16, digits + 20);
}

static struct err users_read_hash(struct arena *arena, struct str *hash)
{
    struct str password;
    TRY(read_password(arena, &password));
    const struct err err = password_hash(arena, password, hash);
    mem_wipe((char *)password.at, password.len);
    return err;
}

struct users_options {
    const char *subject;
    struct option_texts claims;
    bool json;
};

static struct err users_prepare(struct arena *arena, const struct users_options *options, struct users_wish *wish)
{
    struct user *user = &wish->user;
    wish->claims = &options->claims;
    wish->now_s = (int64_t)time(NULL);
    if (wish->action == USERS_CHANGE && options->claims.count == 0)
        return failed(ERR_INVALID_REQUEST, "say what is to be changed: --claim NAME=VALUE");
    if (wish->action == USERS_ADD) {
        user->subject = options->subject[0] ? str_of(options->subject) : users_new_subject(arena);
        if (!user_name_is_fit(user->username))
            return failed(ERR_INVALID_REQUEST, "a username has 1 to 255 bytes of UTF-8, without control characters, "
                                               "and no space at its begin or end");
        if (!user_subject_is_fit(user->subject))
            return failed(ERR_INVALID_REQUEST, "--subject takes 1 to 255 visible ASCII characters");
        TRY(user_claims_build(arena, STR("{}"), wish->claims, wish->now_s, &user->claims));
    }
    return wish->action == USERS_ADD || wish->action == USERS_PASSWORD ? users_read_hash(arena, &user->password_hash)
                                                                       : OK;
}

/* --- output ------------------------------------------------------------------------------------------------------ */

static void users_add_json(struct buf *out, const struct user *user)
{
    buf_add_char(out, '{');
    json_write_text(out, STR("subject"), user->subject);
    json_write_text(out, STR("username"), user->username);
    json_write_name(out, STR("claims"));
    buf_add(out, user->claims);
    json_write_bool(out, STR("disabled"), user->is_disabled);
    buf_add_char(out, '}');
}

static void users_print_json(struct arena *arena, const struct user_list *list)
{
    struct buf out;
    buf_init(&out, arena, 4096, 2 * USERS_FILE_MAX);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_add(&out, i > 0 ? STR(",\n ") : STR(""));
        users_add_json(&out, &list->at[i]);
    }
    printf("%.*s]\n", (int)out.len, out.at);
}

static void users_print(const struct user_list *list)
{
    printf("%-32s %-36s %s\n", "USERNAME", "SUBJECT", "STATE");
    for (size_t i = 0; i < list->count; i++) {
        const struct user *user = &list->at[i];
        printf("%-32.*s %-36.*s %s\n", (int)user->username.len, user->username.at, (int)user->subject.len,
               user->subject.at, user->is_disabled ? "disabled" : "active");
    }
}

static struct err users_show(const struct settings *settings, struct arena *arena, bool json)
{
    struct user_list list;
    TRY(users_list(settings, arena, &list));
    if (json)
        users_print_json(arena, &list);
    else
        users_print(&list);
    return OK;
}

static void users_tell(struct arena *arena, const struct users_wish *wish, bool json)
{
    static const char *const said[] = { [USERS_PASSWORD] = "has a new password",
                                        [USERS_CHANGE] = "is changed",
                                        [USERS_DISABLE] = "is disabled",
                                        [USERS_ENABLE] = "is active",
                                        [USERS_REMOVE] = "is removed" };
    const struct user *user = &wish->user;
    struct buf out;
    if (wish->action != USERS_ADD) {
        printf("%.*s %s; running servers know at once\n", (int)user->username.len, user->username.at,
               said[wish->action]);
    } else if (json) {
        buf_init(&out, arena, 512, 2 * USER_CLAIMS_MAX);
        users_add_json(&out, user);
        printf("%.*s\n", (int)out.len, out.at);
    } else {
        printf("username  %.*s\nsubject   %.*s\n", (int)user->username.len, user->username.at, (int)user->subject.len,
               user->subject.at);
    }
}

/* --- the command ------------------------------------------------------------------------------------------------- */

static struct err users_do(const struct settings *settings, struct arena *arena, enum users_action action,
                           const char *name, const struct users_options *options)
{
    struct users_wish wish = { .action = action, .user = { .username = str_of(name) } };
    if (!name)
        return failed(ERR_INVALID_REQUEST,
                      "name the user by the username, after the verb: see token-service users --help");
    TRY(users_prepare(arena, options, &wish));
    TRY(users_alter(settings, arena, users_apply, &wish));
    users_tell(arena, &wish, options->json);
    return OK;
}

static struct err users_run(const struct settings *settings, struct arena *arena, const char *const words[2],
                            const struct users_options *options)
{
    static const char *const verbs[] = {
        [USERS_ADD] = "add",         [USERS_PASSWORD] = "password", [USERS_CHANGE] = "change",
        [USERS_DISABLE] = "disable", [USERS_ENABLE] = "enable",     [USERS_REMOVE] = "remove"
    };
    const char *verb = words[0] ? words[0] : "";
    if (strcmp(verb, "list") == 0 && words[1])
        return failed(ERR_INVALID_REQUEST, "users list takes no name: it lists all");
    if (strcmp(verb, "list") == 0)
        return users_show(settings, arena, options->json);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verb, verbs[i]) == 0)
            return users_do(settings, arena, (enum users_action)i, words[1], options);
    return failed(ERR_INVALID_REQUEST, "users takes add, list, password, change, disable, enable or remove");
}

int command_users(int argc, char **argv)
{
    struct users_options options = { .subject = "" };
    const struct option_row rows[] = {
        { "--subject", OPTION_TEXT, &options.subject, "add" },
        { "--claim", OPTION_TEXTS, &options.claims, "add change" },
        { "--json", OPTION_SWITCH, &options.json, "add list" },
    };
    const char *words[2] = { NULL, NULL };
    struct settings settings = { 0 };
    struct arena arena;
    if (!options_read(argc, argv, rows, sizeof rows / sizeof *rows, words, 2, &settings))
        return EXIT_USAGE;
    arena_init(&arena, NULL, 0);
    const int code = report(users_run(&settings, &arena, words, &options));
    arena_release(&arena);
    settings_release(&settings);
    return code;
}
