import CFuzzer
import Glibc

// A program of libFuzzer's with several targets: FUZZ_TARGET names the one, all arguments are libFuzzer's. Built and run by `make fuzz`.

guard let target = getenv("FUZZ_TARGET").flatMap({ FuzzTarget(rawValue: String(cString: $0)) }) else {
    print(FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n"))
    exit(64)
}
FuzzTarget.current = target
ProcessorTime.watch()
var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(
    LLVMFuzzerRunDriver(&count, &arguments) { octets, count in
        ProcessorTime.restart()
        defer { ProcessorTime.pause() }
        FuzzTarget.current.run([UInt8](UnsafeBufferPointer(start: octets, count: count)))
        return 0
    })
