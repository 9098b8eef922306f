#include <stddef.h>
#include <stdint.h>

// libFuzzer's loop as a function, so that the program keeps a main of its own. See FuzzerInterface.h of LLVM.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one_input)(const uint8_t *octets, size_t count));
