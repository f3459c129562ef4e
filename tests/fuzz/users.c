/* fuzz/users.c: files of users: what is read is JSON, has no name and no subject twice, and comes back when it is
 * written and read again. And hashes of passwords, by their form alone. An input is the file. */
#include "fuzz.h"
#include "base/json.h"
#include "jose/password.h"
#include "oauth/users_file.h"

static void check_user(const struct user_list *list, size_t i)
{
    const struct user *user = &list->at[i];
    PROMISE(user_subject_is_fit(user->subject) && user_name_is_fit(user->username));
    PROMISE(password_hash_is_fit(user->password_hash));
    PROMISE(user_named(list, user->username) == user && user_of_subject(list, user->subject) == user);
    PROMISE(user->claims.len >= 2 && user->claims.at[0] == '{');
}

static void check_again(struct arena *arena, const struct user_list *list)
{
    struct user_list again;
    struct buf first, second;
    buf_init(&first, arena, 256, 2 * USERS_FILE_MAX);
    buf_init(&second, arena, 256, 2 * USERS_FILE_MAX);
    users_write(&first, list);
    PROMISE(!users_read(arena, buf_str(&first), &again).code && again.count == list->count);
    users_write(&second, &again);
    PROMISE(str_eq(buf_str(&first), buf_str(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = input_of(data, size);
    const struct json *whole = NULL;
    struct user_list list;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct err err = users_read(&arena, text, &list);
    const bool is_json = !json_parse(&arena, text, &whole).code && whole->kind == JSON_ARRAY;
    PROMISE(err.code == ERR_OK || (err.code == ERR_INVALID_REQUEST && utf8_valid(str_of(err.why))));
    PROMISE(err.code || (is_json && whole->count == list.count)); /* small enough for all of json.h's bounds */
    for (size_t i = 0; !err.code && i < list.count; i++)
        check_user(&list, i);
    if (!err.code)
        check_again(&arena, &list);
    (void)password_hash_is_fit(text);
    arena_release(&arena);
    return 0;
}
