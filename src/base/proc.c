/* base/proc.c: the fields of a file in /proc. */
#include "base/proc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long long proc_number(const char *path, int index)
{
    char text[1024];
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = '\0';
    const char *at = strrchr(text, ')');
    at = at ? at + 1 : text;
    for (int i = 0; i < index; i++) {
        at += strspn(at, " ");
        at += strcspn(at, " ");
    }
    char *end = NULL;
    long long value = strtoll(at, &end, 10);
    return end != at ? value : -1;
}
