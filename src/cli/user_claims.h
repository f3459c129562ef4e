/* cli/user_claims.h: what `--claim NAME=VALUE` says of a user, as a JSON object (oauth/standard_claims.h). */
#ifndef CLI_USER_CLAIMS_H
#define CLI_USER_CLAIMS_H

#include "cli/cli.h"

/* The claims `before` (the text of an object) with those of the options in their place: NAME=VALUE, or
 * address.MEMBER=VALUE; an empty value takes a claim away; of several for one name the last counts. updated_at becomes
 * `now_s` unless it is named. In the arena. ERR_INVALID_REQUEST with a sentence. */
MUST_USE struct err user_claims_build(struct arena *arena, struct str before, const struct option_texts *options,
                                      int64_t now_s, struct str *out);

#endif
