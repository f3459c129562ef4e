/* oauth/users_file.c: the array is cut into its elements first, and each is parsed by itself: so the bounds of
 * base/json.h are those of one user, and not of all. */
#include "oauth/users_file.h"
#include "base/json.h"
#include "jose/password.h"
#include "oauth/standard_claims.h"
#include "wire/lines.h"
#include <stdlib.h>

bool user_subject_is_fit(struct str subject)
{
    return subject.len <= USER_NAME_MAX && wire_is_visible(subject);
}

bool user_name_is_fit(struct str username)
{
    if (username.len == 0 || username.len > USER_NAME_MAX || !utf8_valid(username))
        return false;
    for (size_t i = 0; i < username.len; i++) {
        const unsigned char c = (unsigned char)username.at[i];
        const bool is_c1 = c == 0xc2 && i + 1 < username.len && (unsigned char)username.at[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || is_c1)
            return false;
    }
    return username.at[0] != ' ' && username.at[username.len - 1] != ' ';
}

/* --- one user ---------------------------------------------------------------------------------------------------- */

static struct err users_file_take_text(struct arena *arena, const struct json *member, struct str *to)
{
    if (member->kind != JSON_STRING)
        return failed(ERR_INVALID_REQUEST, "a member is not a string");
    *to = arena_copy(arena, member->text);
    return OK;
}

static struct err users_file_take_claims(struct arena *arena, const struct json *member, struct str *to)
{
    struct buf out;
    if (member->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "claims is not an object");
    TRY(standard_claims_check(arena, member));
    buf_init(&out, arena, 64, USER_CLAIMS_MAX);
    json_write(&out, member);
    *to = buf_str(&out);
    return out.overflowed ? failed(ERR_INVALID_REQUEST, "its claims are too long") : OK;
}

static struct err users_file_take_disabled(const struct json *member, bool *to)
{
    if (member->kind != JSON_TRUE && member->kind != JSON_FALSE)
        return failed(ERR_INVALID_REQUEST, "disabled is not true or false");
    *to = member->kind == JSON_TRUE;
    return OK;
}

static struct err users_file_take(struct arena *arena, const struct json *member, struct user *user)
{
    if (str_eq(member->name, STR("subject")))
        return users_file_take_text(arena, member, &user->subject);
    if (str_eq(member->name, STR("username")))
        return users_file_take_text(arena, member, &user->username);
    if (str_eq(member->name, STR("password_hash")))
        return users_file_take_text(arena, member, &user->password_hash);
    if (str_eq(member->name, STR("claims")))
        return users_file_take_claims(arena, member, &user->claims);
    if (str_eq(member->name, STR("disabled")))
        return users_file_take_disabled(member, &user->is_disabled);
    return failed(ERR_INVALID_REQUEST, "it has a member that is not known here");
}

static struct err users_file_check_user(const struct user *user)
{
    if (!user_subject_is_fit(user->subject))
        return failed(ERR_INVALID_REQUEST, "its subject is missing, or not 1 to 255 visible ASCII characters");
    if (!user_name_is_fit(user->username))
        return failed(ERR_INVALID_REQUEST, "its username is missing, too long, or has characters that nobody sees");
    if (!password_hash_is_fit(user->password_hash))
        return failed(ERR_INVALID_REQUEST, "its password_hash is missing, or not $argon2id$… or $scrypt$… as expected");
    return OK;
}

static struct err users_file_read_user(struct arena *arena, struct str text, struct user *out)
{
    struct arena scratch; /* for the tree, which is several times as large as what is kept */
    const struct json *object = NULL;
    arena_init(&scratch, NULL, 0);
    *out = (struct user){ .claims = STR("{}") };
    struct err err = json_parse(&scratch, text, &object);
    if (err.code)
        err.why = arena_copy(arena, str_of(err.why)).at;
    else if (object->kind != JSON_OBJECT)
        err = failed(ERR_INVALID_REQUEST, "it is not an object");
    for (const struct json *member = err.code ? NULL : object->child; member && !err.code; member = member->next)
        err = users_file_take(arena, member, out);
    arena_release(&scratch);
    return err.code ? err : users_file_check_user(out);
}

/* --- the array --------------------------------------------------------------------------------------------------- */

/* Cuts the element that *rest begins with, and the comma or bracket behind it, which is *end. False: it has no end. */
static bool users_file_cut(struct str *rest, struct str *element, char *end)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < rest->len; i++) {
        const char c = rest->at[i];
        if (in_string && c == '\\') {
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && depth == 0 && (c == ',' || c == ']')) {
            *end = c;
            *element = (struct str){ rest->at, i };
            *rest = (struct str){ rest->at + i + 1, rest->len - i - 1 };
            return true;
        } else if (!in_string && (c == '[' || c == '{')) {
            depth++;
        } else if (!in_string && (c == ']' || c == '}')) {
            depth -= depth > 0;
        }
    }
    return false;
}

static struct str users_file_trim(struct str text)
{
    while (text.len > 0 && memchr(" \t\r\n", text.at[0], 4))
        text = (struct str){ text.at + 1, text.len - 1 };
    while (text.len > 0 && memchr(" \t\r\n", text.at[text.len - 1], 4))
        text.len--;
    return text;
}

static struct err users_file_wrong(struct arena *arena, size_t number, const char *why)
{
    return failed(ERR_INVALID_REQUEST, arena_printf(arena, "user %zu in the file of users: %s", number, why).at);
}

static struct err users_file_read_all(struct arena *arena, struct str rest, struct user_list *out)
{
    struct str element;
    char end = ',';
    while (end == ',') {
        if (!users_file_cut(&rest, &element, &end))
            return users_file_wrong(arena, out->count + 1, "the array does not end behind it");
        if (end == ']' && out->count == 0 && users_file_trim(element).len == 0)
            break;
        if (out->count == USERS_MAX)
            return users_file_wrong(arena, out->count + 1, "there may be 10000 at most");
        const struct err err = users_file_read_user(arena, element, &out->at[out->count]);
        if (err.code)
            return users_file_wrong(arena, out->count + 1, err.why);
        out->count++;
    }
    return rest.len == 0 ? OK : failed(ERR_INVALID_REQUEST, "the file of users goes on behind its array");
}

static int users_file_order(struct str a, struct str b)
{
    const size_t both = a.len < b.len ? a.len : b.len;
    const int order = both > 0 ? memcmp(a.at, b.at, both) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int users_file_by_username(const void *a, const void *b)
{
    return users_file_order(((const struct user *)a)->username, ((const struct user *)b)->username);
}

static int users_file_by_subject(const void *a, const void *b)
{
    return users_file_order(((const struct user *)a)->subject, ((const struct user *)b)->subject);
}

/* By a copy of the list, since it stays sorted by name. */
static bool users_file_has_subject_twice(const struct user_list *list)
{
    struct user *copy = mem_alloc((list->count + 1) * sizeof *copy);
    bool twice = false;
    if (list->count > 0)
        memcpy(copy, list->at, list->count * sizeof *copy);
    qsort(copy, list->count, sizeof *copy, users_file_by_subject);
    for (size_t i = 1; i < list->count; i++)
        twice = twice || str_eq(copy[i - 1].subject, copy[i].subject);
    free(copy);
    return twice;
}

/* For as many users as there are opening braces, one that is looked at in vain, and one more that is to come. */
static size_t users_file_room(struct str text)
{
    size_t room = 2;
    for (size_t i = 0; i < text.len && room < USERS_MAX + 1; i++)
        room += text.at[i] == '{';
    return room;
}

struct err users_read(struct arena *arena, struct str text, struct user_list *out)
{
    *out = (struct user_list){ .at = NULL };
    if (text.len > USERS_FILE_MAX)
        return failed(ERR_INVALID_REQUEST, "the file of users is larger than 4 MiB");
    text = users_file_trim(text);
    if (text.len == 0 || text.at[0] != '[')
        return failed(ERR_INVALID_REQUEST, "the file of users does not hold a JSON array");
    out->at = arena_alloc(arena, users_file_room(text) * sizeof *out->at);
    TRY(users_file_read_all(arena, (struct str){ text.at + 1, text.len - 1 }, out));
    qsort(out->at, out->count, sizeof *out->at, users_file_by_username);
    for (size_t i = 1; i < out->count; i++)
        if (str_eq(out->at[i - 1].username, out->at[i].username))
            return failed(ERR_INVALID_REQUEST, "two users in the file of users have the same username");
    if (users_file_has_subject_twice(out))
        return failed(ERR_INVALID_REQUEST, "two users in the file of users have the same subject");
    return OK;
}

void users_write(struct buf *out, const struct user_list *list)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        const struct user *user = &list->at[i];
        buf_add(out, i > 0 ? STR(",\n{") : STR("\n{"));
        json_write_text(out, STR("subject"), user->subject);
        json_write_text(out, STR("username"), user->username);
        json_write_text(out, STR("password_hash"), user->password_hash);
        json_write_name(out, STR("claims"));
        buf_add(out, user->claims);
        json_write_bool(out, STR("disabled"), user->is_disabled);
        buf_add_char(out, '}');
    }
    buf_add(out, STR("\n]\n"));
}

struct user *user_named(const struct user_list *list, struct str username)
{
    const struct user wanted = { .username = username };
    return list->count > 0 ? bsearch(&wanted, list->at, list->count, sizeof wanted, users_file_by_username) : NULL;
}

struct user *user_of_subject(const struct user_list *list, struct str subject)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->at[i].subject, subject))
            return &list->at[i];
    return NULL;
}
