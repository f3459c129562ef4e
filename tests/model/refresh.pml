/* tests/model/refresh.pml: the rules of refresh tokens (docs/refresh-tokens.md) as a model that SPIN explores, in every
 * order of two callers, their ends, and the passing of time. It knows nothing of the C sources: it is the second
 * writing of the rules, beside the one that tests/unit/test_family_races.c explores.
 *
 * A token is a number, in the order in which tokens were made; 0 is none. A caller uses a token: it reads the row,
 * decides, stores by compare-and-swap, starts again after a conflict, and receives the answer. Before and after it has
 * stored, it may end, and comes back with the token that it had. Each has a clock of its own, which is behind or ahead
 * of the store's by at most SKEW; a reuse is believed only when the store's clock says so too.
 *
 * tools/check_model.py runs it, and runs it again with each of the mistakes below, which must be found:
 *   WITHOUT_CAS     the row is stored whatever its version
 *   GRACE_INVERTED  a used token is refused inside the grace period and taken after it
 *   OWN_CLOCK       a caller revokes by its own clock alone, and the grace period has no allowance for it */

#define CALLERS 2
#define USES 2   /* of each caller */
#define ENDS 1   /* of each caller */
#define TOKENS 9 /* more than can be made */
#define GRACE 1  /* as the client is told */
#define SKEW 1
#define LIFE 4   /* the absolute end */
#define LAST 5   /* when time stops */

#ifdef OWN_CLOCK
#define ALLOWED GRACE
#else
#define ALLOWED (GRACE + SKEW)
#endif

/* The row. Of each used token: its successor, and when it was used by the clock of its user. */
byte version = 1;
byte live = 1;
bool revoked = false;
byte successor[TOKENS];
short used_at[TOKENS];

/* What happened in truth. */
byte now = 0;
byte made = 1;             /* tokens */
short truly_used[TOKENS];  /* when, by the store's clock */
byte given[TOKENS];        /* what was answered to it; 0: nothing yet */
byte finished = 0;         /* callers */
bool rotated_after_revocation = false;

#define USED(token) (successor[token] != 0)

inline check_refusal_by_reuse(token) {
    /* Nobody is refused inside the grace period. */
    assert(USED(token) && now - truly_used[token] > GRACE);
}

inline answer_with(token, next) {
    /* A successor is never a second branch. */
    assert(given[token] == 0 || given[token] == next);
    given[token] = next;
}

proctype caller(short clock) {
    byte mine = 1, uses = 0, ends = 0;
    byte seen_version, seen_live, next;
    bool seen_revoked, seen_used, is_late;
    short was_used_at, decided_at;

use:
    atomic {
        /* What is not read again, so that states which differ in it are one. */
        seen_version = 0; seen_live = 0; seen_revoked = false; seen_used = false; is_late = false;
        was_used_at = 0; decided_at = 0; next = 0;
        if
        :: uses == USES -> goto out
        :: uses < USES
        fi
    }

read:
    atomic {
        seen_version = version;
        seen_live = live;
        seen_revoked = revoked;
        seen_used = USED(mine);
        was_used_at = used_at[mine]; /* what is in the row that was read */
        next = successor[mine];
    }
    /* The decision: all in one moment, by this caller's clock. */
    atomic {
        decided_at = now;
        if
        :: seen_revoked -> uses++; goto out
        :: !seen_revoked && now + clock >= LIFE -> uses++; goto out
        :: !seen_revoked && now + clock < LIFE && seen_live == mine -> goto rotate
        :: !seen_revoked && now + clock < LIFE && seen_live != mine ->
            assert(seen_used);
#ifdef OWN_CLOCK
            is_late = now + clock - was_used_at > ALLOWED;
#else
            is_late = now + clock - was_used_at > ALLOWED && now - was_used_at > ALLOWED;
#endif
#ifdef GRACE_INVERTED
            is_late = !is_late;
#endif
            if
            :: is_late -> check_refusal_by_reuse(mine); goto revoke
            :: !is_late ->
                /* And the grace period is no longer than the clocks differ. */
                assert(now - truly_used[mine] <= ALLOWED + 2 * SKEW);
                assert(now < LIFE + SKEW);
                goto receive
            fi
        fi
    }

rotate:
    assert(decided_at < LIFE + SKEW);
    if
    :: ends < ENDS -> ends++; goto read /* an end before it was stored */
    :: true
    fi;
    atomic {
#ifndef WITHOUT_CAS
        if
        :: version != seen_version -> goto read
        :: else
        fi;
#endif
        assert(made + 1 < TOKENS);
        made++;
        next = made;
        rotated_after_revocation = rotated_after_revocation || revoked;
        live = next;
        successor[mine] = next;
        used_at[mine] = decided_at + clock;
        truly_used[mine] = decided_at;
        version++
    }
    if
    :: ends < ENDS -> ends++; goto read /* stored, but the answer was lost */
    :: true
    fi;
    goto receive;

revoke:
    if
    :: ends < ENDS -> ends++; goto read
    :: true
    fi;
    atomic {
#ifndef WITHOUT_CAS
        if
        :: version != seen_version -> goto read
        :: else
        fi;
#endif
        revoked = true;
        version++;
        uses++
    }
    goto out;

receive:
    atomic {
        answer_with(mine, next);
        mine = next;
        uses++;
        goto use
    }

out:
    finished++
}

proctype time() {
    do
    :: now < LAST -> now++
    :: now == LAST -> break
    od
}

/* Both hold the first token: two processes of one client, or its holder and a thief. Their clocks are any that are
 * allowed. */
init {
    short first, second;
    select(first : -1 .. 1);
    select(second : first .. 1); /* the callers are alike, so that each pair is enough once */
    atomic {
        run caller(first);
        run caller(second);
        run time()
    }
}

/* A family that is revoked stays so, and gives no further token. */
ltl stays_revoked { [] (revoked -> [] (revoked && !rotated_after_revocation)) }

/* Nobody starts again for ever: a conflict means that the other one has got on. */
ltl everybody_gets_an_answer { <> (finished == CALLERS) }
