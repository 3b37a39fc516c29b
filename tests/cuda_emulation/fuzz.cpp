// Random problems through the emulated kernels: the recursions against the CPU's library, the row kernels against double.
//
//     fuzz [-n PROBLEMS] [--seed SEED] [--only INDEX] [--wide SHARE]
//
// --wide: the share of problems with more labels than a warp's registers hold. A failure names the problem that repeats it.
#include "fuzz.h"

#include <cinttypes>
#include <cstdio>

std::map<std::string, int64_t> met;
std::map<std::string, double> worst;

int main(int count, char** arguments) {
    std::map<std::string, std::string> options{{"-n", "200"}, {"--seed", "1"}, {"--only", "-1"}, {"--wide", "0.1"}};
    for (int i = 1; i < count; i += 2) {
        if (!options.count(arguments[i]) || i + 1 == count) {
            std::fprintf(stderr, "usage: fuzz [-n PROBLEMS] [--seed SEED] [--only INDEX] [--wide SHARE]\n");
            return 2;
        }
        options[arguments[i]] = arguments[i + 1];
    }
    const int64_t seed = std::stoll(options["--seed"]), only = std::stoll(options["--only"]);
    const int64_t first = only < 0 ? 0 : only, end = only < 0 ? std::stoll(options["-n"]) : only + 1;
    constexpr int MOST_FAILURES = 5;
    int failures = 0;
    for (int64_t index = first; index < end && failures < MOST_FAILURES; ++index) {
        Random random{std::mt19937_64(static_cast<uint64_t>(seed * 1'000'003 + index))};
        std::string described;
        try {
            if (index % 4)
                fuzz_recursion(random, index, std::stod(options["--wide"]), described);
            else
                fuzz_rows(random, index, described);
        } catch (const std::exception& error) {
            ++failures;
            std::printf("FAILED --seed %" PRId64 " --only %" PRId64 ": %s\n  %s\n", seed, index, error.what(),
                        described.c_str());
        }
    }
    for (const auto& [name, number] : met) std::printf("%s: %" PRId64 "\n", name.c_str(), number);
    for (const auto& [name, share] : worst) std::printf("largest error of a %s, of what is allowed: %.3f\n", name.c_str(), share);
    const emulation::Counts& ran = emulation::counts;
    std::printf("%" PRIu64 " launches, %" PRIu64 " blocks, %" PRIu64 " threads, %" PRIu64 " meetings\n", ran.launches,
                ran.blocks, ran.threads, ran.meetings);
    std::printf("%" PRId64 " problems of seed %" PRId64 ", %d failures\n", end - first, seed, failures);
    return failures != 0;
}
