// tokenizer.json.
#include "vocabularies.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  warpbert::fuzz::check_vocabulary("tokenizer.json", warpbert::fuzz::text_of(data, size));
  return 0;
}
