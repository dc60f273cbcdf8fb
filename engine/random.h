// The kernels' random numbers on the host.
#pragma once
#include "kernels/philox.h"
