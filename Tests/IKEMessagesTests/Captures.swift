import Foundation
import IKEMessages
import Testing
import Wire

/// A message from the wire, or a decrypted chain of payloads, of the folder Captures.
struct Capture: CustomTestStringConvertible, Sendable {
    enum Kind: Sendable, Equatable {
        case message
        case inner(first: PayloadType)
    }

    let file: String
    let name: String
    let kind: Kind
    let octets: [UInt8]

    var testDescription: String { "\(file): \(name)\(kind == .message ? "" : ", inner")" }

    /// All of them, in the order of their files. A file: comments behind `#`; `message NAME` or `inner FIRST-PAYLOAD NAME`, then hexadecimal lines.
    static let all: [Capture] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Captures").path
        let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".txt") }.sorted()
        return files.flatMap { file in
            parse(String(file.dropLast(4)), (try? String(contentsOfFile: folder + "/" + file, encoding: .utf8)) ?? "")
        }
    }()

    static let messages = all.filter { $0.kind == .message }

    private static func parse(_ file: String, _ text: String) -> [Capture] {
        var captures: [Capture] = []
        for block in text.split(separator: "\n\n") {
            let lines = block.split(separator: "\n").filter { !$0.hasPrefix("#") }
            guard let title = lines.first else { continue }
            let words = title.split(separator: " ")
            let kind: Kind?
            switch (words.first, words.count) {
            case ("message", 2): kind = .message
            case ("inner", 3): kind = UInt8(words[1]).map { .inner(first: PayloadType(rawValue: $0)) }
            default: kind = nil
            }
            guard let kind, let name = words.last, let octets = [UInt8](hexadecimal: lines.dropFirst().joined()) else {
                Issue.record("\(file): not a capture: \(title)")
                continue
            }
            captures.append(Capture(file: file, name: String(name), kind: kind, octets: octets))
        }
        return captures
    }

    /// Parses octets of the capture's kind and encodes them again.
    func reencode(_ octets: [UInt8]) throws(MessageError) -> (payloads: [Payload], octets: [UInt8]) {
        switch kind {
        case .message:
            let message = try IKEMessage(parsing: octets)
            return (message.payloads, message.encoded(around: octets))
        case .inner(let first):
            let payloads = try PayloadChain.parse(first: first, octets)
            return (payloads, PayloadChain.encode(payloads).octets)
        }
    }
}
