// Solution of exercise 8: dz = softmax(z) − [target] in bf16, in place of the float logits z. A block of 64
// threads takes a row of 256 columns in four stretches, a column a thread.
#include "simt/simt.h"

using warpbert::bf16, warpbert::to_bf16;

static __global__ void in_place_gradient_kernel(float* logits, const float* log_sum_exp, int target) {
  const int row = int(blockIdx.x);
  const float* z = logits + row * 256;
  bf16* const dz = reinterpret_cast<bf16*>(logits + row * 256);  // the row's first half
  for (int start = 0; start < 256; start += 64) {
    const int c = start + int(threadIdx.x);
    const float softmax = fast_exp(z[c] - log_sum_exp[row]);
    const bf16 gradient = to_bf16(c == target ? softmax - 1 : softmax);
    // Stores end at the logit of column start / 2 + 31: in this stretch or an earlier one. Loads of the next
    // stretch are further right, so it needs no second barrier.
    __syncthreads();  // the stretch is read
    dz[c] = gradient;
  }
}
