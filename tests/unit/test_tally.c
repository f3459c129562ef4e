/* test_tally.c: ticking off hashes: what was added and not ticked is never taken for ticked. */
#include "revocation/tally.h"
#include "unit.h"

/* Only the last 8 bytes matter to a tally: spread them, and let some collide in their low bits. */
static const unsigned char *hash_of(uint64_t number)
{
    static unsigned char hash[32];
    uint64_t part = number * UINT64_C(0x9e3779b97f4a7c15);
    if (number % 3 == 0)
        part = number << 40; /* the same place for all of these */
    memset(hash, 0, sizeof hash);
    memcpy(hash + 24, &part, sizeof part);
    return hash;
}

static void what_is_ticked_and_what_is_not(void **state)
{
    enum { MANY = 4000 };
    struct tally *tally = tally_new();
    (void)state;
    assert_false(tally_is_open(tally, 0));
    assert_false(tally_tick(tally, hash_of(1)));
    for (uint64_t i = 1; i <= MANY; i++)
        tally_add(tally, hash_of(i), 1000);
    for (uint64_t i = 1; i <= MANY; i += 2)
        assert_true(tally_tick(tally, hash_of(i)));
    for (uint64_t i = 1; i <= 2 * MANY; i++)
        assert_int_equal(tally_is_ticked(tally, hash_of(i)), i <= MANY && i % 2 == 1);
    assert_true(tally_is_open(tally, 999));
    for (uint64_t i = 2; i <= MANY; i += 2) {
        assert_true(tally_is_open(tally, 999));
        assert_true(tally_tick(tally, hash_of(i)));
        assert_true(tally_tick(tally, hash_of(i))); /* a scan may show a key twice */
    }
    assert_false(tally_is_open(tally, 0));
    tally_free(tally);
    tally_free(NULL);
}

static void what_has_ended_does_not_matter(void **state)
{
    struct tally *tally = tally_new();
    (void)state;
    tally_add(tally, hash_of(1), 1000);
    tally_add(tally, hash_of(1), 2000); /* the later one stays */
    tally_add(tally, hash_of(1), 500);
    tally_add(tally, hash_of(2), -5);
    assert_true(tally_is_open(tally, 1999));
    assert_false(tally_is_open(tally, 2000));
    tally_add(tally, hash_of(4), INT64_MAX);
    assert_false(tally_is_ticked(tally, hash_of(4)));
    assert_true(tally_is_open(tally, 2000));
    tally_free(tally);
}

RUN(TEST(what_is_ticked_and_what_is_not), TEST(what_has_ended_does_not_matter))
