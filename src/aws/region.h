/* aws/region.h: which region is asked: that of a key's ARN, else AWS_REGION, AWS_DEFAULT_REGION, the profile's, else
 * us-east-1. */
#ifndef AWS_REGION_H
#define AWS_REGION_H

#include "base/settings.h"

/* The fourth part of "arn:aws:kms:eu-west-1:111122223333:key/…"; empty when the text is not an ARN, or its region could
 * not be part of a host's name. A view. */
struct str region_of_arn(struct str id);

/* NUL-terminated, in the arena or as long-lived as the settings. `otherwise`: when neither the environment nor the
 * profile has one. ERR_INVALID_REQUEST when what was set is no region. May read files. */
MUST_USE struct err region_of_settings(const struct settings *settings, struct arena *arena, const char *otherwise,
                                       struct str *out);
/* For KMS as a whole (its keys' ARNs may still say another): of the first key in KMS_KEY_ID, else of the settings. And
 * for STS: of the settings, else of that key, whose partition of AWS it must be. */
MUST_USE struct err region_of_kms(const struct settings *settings, struct arena *arena, struct str *out);
MUST_USE struct err region_of_sts(const struct settings *settings, struct arena *arena, struct str *out);

#endif
