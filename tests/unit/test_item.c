/* test_item.c: the records that change items, in the store: who is first is kept, and a change has a name of its own.
 */
#include "store/store.h"
#include "granting.h"

static struct item item_of(unsigned char number)
{
    struct item item = { .kind = ITEM_CODE,
                         .expires_at = now_s + 60,
                         .client_id = STR("app"),
                         .subject = STR("user-1"),
                         .sid = STR("session-1"),
                         .body = STR("{\"a\":1}") };
    memset(item.id, number, sizeof item.id);
    return item;
}

static struct err find(const struct item *item, struct item *out)
{
    return store->ops->find_item(store, &arena, item->kind, item->id, out);
}

static void a_record_has_a_copy_of_its_item_and_stands_before_the_others(void **state)
{
    (void)state;
    struct item item = item_of(1);
    struct record *first = item_put(&arena, &item, 0, NULL), *second = item_put(&arena, &item, 3, first);
    item.expires_at = 0;
    assert_ptr_equal(second->next, first);
    assert_null(first->next);
    assert_int_equal(first->kind, RECORD_ITEM);
    assert_int_equal(first->item->expires_at, now_s + 60);
    assert_int_equal(first->item_version, 0);
    assert_int_equal(second->item_version, 3);
    assert_true(first->item_change != second->item_change); /* or the second would be taken for the first, again */
}

static void of_two_changes_to_one_version_the_first_is_kept(void **state)
{
    (void)state;
    struct item item = item_of(2), found;
    assert_ok(keep(item_put(&arena, &item, 0, NULL)));
    assert_code(keep(item_put(&arena, &item, 0, NULL)), ERR_CONFLICT, "there is one already");
    assert_ok(find(&item, &found));
    assert_int_equal(found.version, 1);
    struct record *one = item_put(&arena, &found, found.version, NULL);
    found.body = STR("{\"a\":2}");
    struct record *other = item_put(&arena, &found, found.version, NULL);
    assert_ok(keep(other));
    assert_code(keep(one), ERR_CONFLICT, "who was slower");
    assert_ok(keep(other)); /* its answer was lost: the same change again */
    assert_ok(find(&item, &found));
    assert_int_equal(found.version, 2);
    assert_str(found.body, "{\"a\":2}");
}

static void what_is_deleted_is_gone_and_only_as_it_was_read(void **state)
{
    (void)state;
    struct item item = item_of(3), found, changed;
    assert_ok(keep(item_put(&arena, &item, 0, NULL)));
    assert_ok(find(&item, &found));
    changed = found;
    assert_ok(keep(item_put(&arena, &changed, changed.version, NULL)));
    assert_code(keep(item_delete(&arena, &found, NULL)), ERR_CONFLICT, "it has changed since");
    assert_ok(find(&item, &found));
    assert_ok(keep(item_delete(&arena, &found, NULL)));
    assert_code(find(&item, &found), ERR_NOT_FOUND, "deleted");
}

RUN_WITH(granting_begin, granting_finish,
         cmocka_unit_test(a_record_has_a_copy_of_its_item_and_stands_before_the_others),
         cmocka_unit_test(of_two_changes_to_one_version_the_first_is_kept),
         cmocka_unit_test(what_is_deleted_is_gone_and_only_as_it_was_read))
