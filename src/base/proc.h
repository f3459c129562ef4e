/* base/proc.h: what the kernel says of this process in /proc (proc(5)). */
#ifndef BASE_PROC_H
#define BASE_PROC_H

/* The number at `index` (from 0) of a one-line file. What stands up to the last ')' is passed over: in /proc/self/stat
 * that is the program's name, which may hold spaces. -1 when it can't be read. */
long long proc_number(const char *path, int index);

#endif
