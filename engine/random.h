// The kernels' random numbers on the host: random4(seed, pass, site, group).
#pragma once
#include "kernels/philox.h"
