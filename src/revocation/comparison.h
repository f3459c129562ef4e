/* revocation/comparison.h: keys of the shared cache are held against what is known here, some at a time and always
 * again: a Redis may lose single keys in silence (it evicts, somebody deletes), and nothing else would show it. For
 * restorer.c. */
#ifndef REVOCATION_COMPARISON_H
#define REVOCATION_COMPARISON_H

#include "revocation/hash_set.h"

struct revocations;

/* How far a walk through all of them has come. Zero: the beginning. */
struct comparison {
    enum { COMPARES_STORED, COMPARES_TOKENS, COMPARES_RULES } stage; /* the latter two: in memory */
    int64_t position;                                                /* in the store */
    struct hash_set_cursor tokens, rules;
};

/* Looks for the next COMPARED_MAX keys, puts those that are not there and raises rules that are older there; *restored
 * says how many. Others are told of each of them where they could not read it in the store. After the last one it
 * begins again. May wait. */
enum { COMPARED_MAX = 1000 };
MUST_USE struct err comparison_round(struct revocations *revocations, struct comparison *comparison, size_t *restored);

#endif
