// libpq, the C client of PostgreSQL (https://www.postgresql.org/docs/15/libpq.html).
#pragma once
#include <libpq-fe.h>
