internal import ArgumentParser
internal import ManagementAPI

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// What goes to standard output and standard error.
enum Output {
    /// A line of the answer.
    static func line(_ text: String) { print(text) }

    /// The answer as JSON.
    static func json(_ value: some Encodable) throws {
        print(String(decoding: try ManagementCoding.encode(value, pretty: true), as: UTF8.self))
    }

    /// A line on standard error.
    static func complain(_ text: String) {
        let octets = Array((text + "\n").utf8)
        _ = unsafe octets.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// Ends the program.
    static func leave(_ code: ExitCode) -> Never { exit(code.rawValue) }
}

/// The exit statuses of programs.md.
extension ExitCode {
    /// The daemon said no, or nothing matches.
    static let refused = ExitCode(1)
    /// No daemon answered.
    static let unreachable = ExitCode(2)
}

extension GlobalFlags {
    /// Asks the daemon; what fails is explained on standard error, then thrown as an exit status.
    func ask<Answer: Sendable>(
        _ question: (ManagementClient) async throws(ManagementError) -> Answer
    ) async throws(ExitCode) -> Answer {
        let client = client
        do { return try await question(client) } catch {
            switch error {
            case .unreachable(let reason):
                Output.complain("ipsec-gwctl: " + reason.explained(socket: client.socketPath))
                throw .unreachable
            case .refused(_, let answer):
                Output.complain("ipsec-gwctl: \(EscapedText.shown(answer.error)). \(EscapedText.shown(answer.hint))")
                throw .refused
            case .malformedAnswer(let text):
                Output.complain(
                    "ipsec-gwctl: the daemon's answer is not understood (\(text)). Install ipsec-gwctl and ipsec-gw of the same version")
                throw .refused
            }
        }
    }

    /// Prints the answer: as JSON with `--json`, else as `text` says.
    func show(_ answer: some Encodable, as text: () -> [String]) throws {
        if json {
            try Output.json(answer)
        } else {
            text().forEach(Output.line)
        }
    }
}
