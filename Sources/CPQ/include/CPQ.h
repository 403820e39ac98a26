/// libpq, the C client of PostgreSQL (https://www.postgresql.org/docs/15/libpq.html), loaded when it is first used.
///
/// libpq brings sixteen further libraries with it (Kerberos, LDAP, GnuTLS …); loading them takes longer than everything else that the program
/// does before its first line, and `wal push` and `wal get`, which a server starts for each segment, have no use for them. The functions keep
/// their names: each is a jump through a pointer that `repo_pq_load` sets (docs/adr/0023-what-starting-costs.md).

#ifndef REPO_CPQ_H
#define REPO_CPQ_H

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h>  // Debian's place.
#endif

/// Loads libpq unless it is loaded, from any thread. Null, or why it could not be: a text that stays.
///
/// To be called before any other function; without, they end the program.
const char *repo_pq_load(void);

#endif
