import Foundation
import Testing

/// `ipsec-gwctl`, run as an operator runs it.
struct ControlProgram {
    struct Outcome {
        let status: Int32
        let output: String
        let complaint: String

        var lines: [String] { output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
        func json() throws -> Any { try JSONSerialization.jsonObject(with: Data(output.utf8)) }
    }

    /// The program beside the test's own executable.
    static var path: String {
        get throws {
            let here = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            let folders = [here] + CommandLine.arguments.prefix(1)
            let candidates = folders.map { ($0 as NSString).deletingLastPathComponent + "/ipsec-gwctl" }
            return try #require(candidates.first { FileManager.default.isExecutableFile(atPath: $0) }, "no ipsec-gwctl at \(candidates)")
        }
    }

    static func run(_ arguments: [String], socket: String? = nil) async throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try path)
        process.arguments = arguments
        var environment = ["PATH": "/usr/bin:/bin"]
        environment["IPSEC_GW_SOCKET"] = socket
        process.environment = environment
        let base = "/tmp/gwm-run-\(UInt32.random(in: 0 ... .max))"
        let files = [base + ".out", base + ".err"]
        defer { files.forEach { try? FileManager.default.removeItem(atPath: $0) } }
        for file in files { _ = FileManager.default.createFile(atPath: file, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: files[0])
        process.standardError = FileHandle(forWritingAtPath: files[1])
        process.standardInput = FileHandle.nullDevice
        let status = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        let texts = try files.map { String(decoding: try Data(contentsOf: URL(fileURLWithPath: $0)), as: UTF8.self) }
        return Outcome(status: status, output: texts[0], complaint: texts[1])
    }
}
