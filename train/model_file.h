// A trained model as a file: its arrays under their canonical names, and the vocabulary they belong to.
#pragma once
#include <string>

#include "model/bert.h"
#include "vocabulary.h"

namespace warpbert {

// <canonical names> fp32, `vocab/cipher_ids` int64; nothing else, so that equal models are equal files. Atomic.
void save_model(const std::string& path, Bert& bert, const Vocabulary& vocabulary);

// The vocabulary of a file that save_model wrote.
Vocabulary load_vocabulary(const std::string& path);

// All arrays of the model, checked by name and shape; throws io::Error naming file, array, expected and found.
void load_model(const std::string& path, Bert& bert);

}  // namespace warpbert
