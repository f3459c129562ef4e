/* test_store_pages.c: all of a store's revocations are taken, whether in one go or in parts, while others come; and
 * never does this instance stand behind one that it lacks. */
#include "revocation/store_pages.h"
#include "unit.h"
#include <pthread.h>

enum { ROOM = 20000, BATCH = 10 };

/* A store whose positions become visible in their order, some more with each call. */
static struct {
    struct store store;
    pthread_mutex_t lock;
    size_t count, visible, more; /* positions 1 to count, of which the first ones are to be seen */
    size_t each;                 /* only each so manieth one is there, the others have expired */
    struct sequence sequence;
    int64_t fails_above, begins_anew_above; /* 0: never */
    pthread_t reader;                       /* who reads all */
    size_t calls, by_others;
    unsigned char taken[ROOM + 1];
} fake;

static struct err fake_since(struct store *store, struct arena *to, int64_t after, int64_t now_s, size_t max,
                             struct revocation **out, size_t *count, struct sequence *sequence)
{
    (void)store;
    (void)now_s;
    pthread_mutex_lock(&fake.lock);
    fake.calls++;
    fake.by_others += !pthread_equal(pthread_self(), fake.reader);
    const size_t visible = fake.visible;
    fake.visible = visible + fake.more < fake.count ? visible + fake.more : fake.count;
    pthread_mutex_unlock(&fake.lock);
    *out = arena_alloc(to, max * sizeof **out);
    *count = 0;
    for (int64_t position = after + 1; position <= (int64_t)visible && *count < max; position++)
        if (position % (int64_t)fake.each == 0)
            (*out)[(*count)++] = (struct revocation){ .position = position };
    sched_yield();
    pthread_mutex_lock(&fake.lock);
    *sequence = fake.sequence;
    if (fake.begins_anew_above && after >= fake.begins_anew_above)
        sequence->epoch++;
    pthread_mutex_unlock(&fake.lock);
    return fake.fails_above && after >= fake.fails_above ? failed(ERR_UNAVAILABLE, "the store failed") : OK;
}

static struct err take(void *context, struct arena *unused, const struct revocation *found, size_t count)
{
    (void)unused;
    assert_ptr_equal(context, &fake);
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < count; i++)
        fake.taken[found[i].position] = 1;
    pthread_mutex_unlock(&fake.lock);
    return OK;
}

static int begin(void **state)
{
    static const struct store_ops ops = { .name = "fake", .is_shared = true, .revocations_since = fake_since };
    memset(&fake, 0, sizeof fake);
    fake.store.ops = &ops;
    fake.each = 1;
    fake.reader = pthread_self();
    pthread_mutex_init(&fake.lock, NULL);
    return arena_begin(state);
}

static int finish(void **state)
{
    pthread_mutex_destroy(&fake.lock);
    return arena_finish(state);
}

static struct err read_all(bool in_parts, int64_t *position)
{
    struct store_pages pages = { .store = &fake.store, .take = take, .context = &fake, .in_parts = in_parts };
    fake.sequence = (struct sequence){ 7, (int64_t)fake.count };
    memset(fake.taken, 0, sizeof fake.taken);
    return store_pages_read(&pages, BATCH, position);
}

/* What stands at or before it. */
static void assert_all_are_taken_up_to(int64_t position)
{
    for (int64_t i = (int64_t)fake.each; i <= position; i += (int64_t)fake.each)
        if (!fake.taken[i])
            fail_msg("%lld is not taken, and this instance stands at %lld", (long long)i, (long long)position);
}

static void all_are_taken_however_many_there_are(void **state)
{
    static const size_t counts[] = { 0, 1, BATCH, BATCH + 1, 170, 171, 179, 1000, 1001, ROOM };
    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        for (fake.each = 1; fake.each < 8; fake.each += 3) {
            for (int in_parts = 0; in_parts < 2; in_parts++) {
                int64_t position = 0;
                fake.count = fake.visible = counts[i];
                fake.by_others = 0;
                assert_ok(read_all(in_parts, &position));
                assert_int_equal(position, counts[i] / fake.each * fake.each);
                assert_all_are_taken_up_to((int64_t)counts[i]);
                assert_true(in_parts || fake.by_others == 0);
            }
        }
    }
}

/* The last ones that were given are not visible yet when the parts are made, and become so while they are read. */
static void what_becomes_visible_meanwhile_is_not_passed_over(void **state)
{
    (void)state;
    for (size_t run = 0; run < 200; run++) {
        int64_t position = 0;
        fake.count = 4000;
        fake.visible = 20 * run;
        fake.more = run % 7;
        assert_ok(read_all(true, &position));
        assert_true(position <= 4000);
        assert_all_are_taken_up_to(position);
        fake.visible = fake.count;
        assert_ok(read_all(true, &position)); /* goes on from there */
        assert_int_equal(position, 4000);
    }
}

static void several_are_read_at_once_only_where_it_is_worth_it(void **state)
{
    int64_t position = 0;
    (void)state;
    fake.count = fake.visible = 170; /* 16 pages behind the first one */
    assert_ok(read_all(true, &position));
    assert_true(fake.by_others > 0);
    assert_int_equal(fake.calls, 18); /* each page once, and one that is empty */
    position = 0;
    fake.by_others = fake.calls = 0;
    fake.count = fake.visible = 169;
    assert_ok(read_all(true, &position));
    assert_int_equal(fake.by_others, 0);
    assert_int_equal(fake.calls, 17);
}

static void a_failure_leaves_it_where_all_is_taken(void **state)
{
    (void)state;
    for (int64_t from = 1; from < 2000; from += 190) {
        int64_t position = 0;
        fake.count = fake.visible = 2000;
        fake.fails_above = from;
        assert_code(read_all(true, &position), ERR_UNAVAILABLE, "fails");
        assert_all_are_taken_up_to(position);
        assert_true(position < from + BATCH);
        fake.fails_above = 0;
        fake.begins_anew_above = from;
        position = 0;
        assert_code(read_all(true, &position), ERR_CONFLICT, "another epoch");
        assert_all_are_taken_up_to(position);
        fake.begins_anew_above = 0;
    }
}

#define OF_ITS_OWN(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(OF_ITS_OWN(all_are_taken_however_many_there_are), OF_ITS_OWN(what_becomes_visible_meanwhile_is_not_passed_over),
    OF_ITS_OWN(several_are_read_at_once_only_where_it_is_worth_it), OF_ITS_OWN(a_failure_leaves_it_where_all_is_taken))
