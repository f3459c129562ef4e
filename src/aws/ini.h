/* aws/ini.h: the format of AWS's profile files: [sections] of `name = value`. A pure function; fuzzed:
 * tests/fuzz/ini.c.
 */
#ifndef AWS_INI_H
#define AWS_INI_H

#include "base/mem.h"

/* The value of `name` in the section [section], or with `kind` in [kind section]; *out is a view into `text`. Names are
 * compared without case, sections with it. The last of several wins. Lines that begin with # or ; or a blank are passed
 * over, and so is what follows a blank and # or ; in a value. False when there is none. */
MUST_USE bool ini_find(struct str text, struct str kind, struct str section, struct str name, struct str *out);
/* Whether there is such a section. */
MUST_USE bool ini_has_section(struct str text, struct str kind, struct str section);

#endif
