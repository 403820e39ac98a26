#include "include/blake2_lanes.h"
