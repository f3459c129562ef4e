/* test_half_hash.c: at_hash and c_hash, by the examples of OpenID Connect Core appendix A.3 and A.4, and for Ed25519 by
 * Python's hashlib. */
#include "jose/half_hash.h"
#include "unit.h"

#define ACCESS_TOKEN "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
#define CODE "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"

static void the_hash_is_that_of_the_algorithm_that_signs(void **state)
{
    static const struct {
        enum jwa alg;
        struct str value;
        const char *expected;
    } rows[] = {
        { JWA_RS256, ROW(ACCESS_TOKEN), "77QmUPtjPfzWtF2AnpK9RQ" },
        { JWA_RS256, ROW(CODE), "LDktKdoQak3Pk0cnXxCltA" },
        { JWA_PS256, ROW(ACCESS_TOKEN), "77QmUPtjPfzWtF2AnpK9RQ" },
        { JWA_ES256, ROW(ACCESS_TOKEN), "77QmUPtjPfzWtF2AnpK9RQ" },
        { JWA_ES256, ROW(""), "47DEQpj8HBSa-_TImW-5JA" },
        { JWA_EDDSA, ROW(ACCESS_TOKEN), "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM" },
        { JWA_EDDSA, ROW(CODE), "E9z1C-c0Az4eTEzE0Nm3OQ3BS2BhMgxuP7x5JAQj1_4" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char to[HALF_HASH_MAX];
        assert_str(half_hash(rows[i].alg, rows[i].value, to), rows[i].expected);
    }
}

RUN(TEST(the_hash_is_that_of_the_algorithm_that_signs))
