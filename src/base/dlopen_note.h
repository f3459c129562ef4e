/* base/dlopen_note.h: says in the program's own file which library it loads by dlopen, for what makes packages and
 * images, which can't see it in the list of needed libraries. An ELF note as the UAPI Group's "ELF Notes for dlopen"
 * describes it; `readelf --notes` shows that there is one. */
#ifndef BASE_DLOPEN_NOTE_H
#define BASE_DLOPEN_NOTE_H

#include <stdint.h>

enum { DLOPEN_NOTE_TYPE = 0x407c0c0a };

/* All literals: the library's soname, what it is for in one word and in a sentence, and "recommended" or "suggested".
 */
#define DLOPEN_NOTE_TEXT(soname, feature, description, priority)                                                       \
    "[{\"feature\":\"" feature "\",\"description\":\"" description "\",\"priority\":\"" priority                       \
    "\",\"soname\":[\"" soname "\"]}]"
#define DLOPEN_NOTE(name, ...)                                                                                         \
    static const struct {                                                                                              \
        uint32_t owner_size, text_size, type;                                                                          \
        char owner[4];                                                                                                 \
        _Alignas(4) char text[sizeof(DLOPEN_NOTE_TEXT(__VA_ARGS__))];                                                  \
    } name __attribute__((used, aligned(4), section(".note.dlopen"))) = {                                              \
        sizeof "FDO", sizeof(DLOPEN_NOTE_TEXT(__VA_ARGS__)), DLOPEN_NOTE_TYPE, "FDO", DLOPEN_NOTE_TEXT(__VA_ARGS__)    \
    }

#endif
