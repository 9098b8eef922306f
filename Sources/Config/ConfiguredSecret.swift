import Foundation
package import Wire

/// A secret of the file: a text, `{ file: }` or `{ env: }`. What is not in the file itself is read by `Configuration.resolveSecrets`.
package struct ConfiguredSecret: Hashable, Sendable {
    package enum Source: Hashable, Sendable {
        case text
        case file(String)
        case environment(String)
    }

    package let source: Source
    package let keyPath: String
    package let position: Position
    /// nil until it was read.
    package private(set) var value: Secret<[UInt8]>?

    package static let maximumLength = 4096
    /// How to get a better one.
    static let advice = "a longer, random text, such as that of: openssl rand -base64 32"

    init(_ source: Source, value: Secret<[UInt8]>?, keyPath: String, position: Position) {
        self.source = source
        self.value = value
        self.keyPath = keyPath
        self.position = position
    }

    /// Two secrets are equal when what they hold is; the place in the file does not count.
    package static func == (left: ConfiguredSecret, right: ConfiguredSecret) -> Bool {
        left.source == right.source && left.value == right.value
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(source) }

    /// Why a secret cannot be had; what stands in it is not said.
    package enum Unavailable: Error, Hashable, Sendable {
        case unreadable(String)
        case notSet
        case empty
        case tooLong
    }

    /// Reads a secret that is elsewhere. One line end at the end of a file is not part of it.
    mutating func resolve(environment: [String: String]) throws(Unavailable) {
        let octets: [UInt8]
        switch source {
        case .text: return
        case .file(let path): octets = try Self.contents(of: path)
        case .environment(let name):
            guard let text = environment[name] else { throw .notSet }
            octets = Array(text.utf8)
        }
        guard !octets.isEmpty else { throw .empty }
        guard octets.count <= Self.maximumLength else { throw .tooLong }
        value = Secret(octets)
    }

    private static func contents(of path: String) throws(Unavailable) -> [UInt8] {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw .unreadable(unsafe String(cString: strerror(errno)))
        }
        defer { try? handle.close() }
        // A file that never ends, such as a device, is not read to its end.
        var octets: [UInt8]
        do {
            octets = Array(try handle.read(upToCount: maximumLength + 3) ?? Data())
        } catch {
            throw .unreadable("it is no file")
        }
        if octets.last == UInt8(ascii: "\n") { octets.removeLast() }
        if octets.last == UInt8(ascii: "\r") { octets.removeLast() }
        return octets
    }
}

extension ConfiguredSecret: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension ConfiguredSecret {
    /// Bits that somebody who guesses must try through, estimated: characters that follow from those before them (repeated, counted up or
    /// down, or seen in this order already) count nothing (threats.md P14).
    static func estimatedEntropy(_ octets: [UInt8]) -> Double {
        var alphabet = 0
        if octets.contains(where: { (48...57).contains($0) }) { alphabet += 10 }
        let letters = octets.filter { (65...90).contains($0) || (97...122).contains($0) }
        let isHexadecimal = octets.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || 65...70 ~= $0 || 97...102 ~= $0 }
        if isHexadecimal {
            alphabet = 16
        } else {
            if letters.contains(where: { $0 >= 97 }) { alphabet += 26 }
            if letters.contains(where: { $0 <= 90 }) { alphabet += 26 }
        }
        alphabet += Set(octets.filter { $0 < 128 && !isAlphanumeric($0) }).isEmpty ? 0 : 20
        if octets.contains(where: { $0 >= 128 }) { alphabet += 64 }
        // Few distinct characters in a long text were not drawn from a large alphabet.
        let drawn = min(Double(max(alphabet, 1)), Double(Set(octets).count) * 4)
        var seen: Set<[UInt8]> = []
        var surprises = 0
        for (index, octet) in octets.enumerated() {
            guard index >= 1 else {
                surprises += 1
                continue
            }
            let step = Int(octet) - Int(octets[index - 1])
            let isSequence = step == 0 || index >= 2 && abs(step) == 1 && step == Int(octets[index - 1]) - Int(octets[index - 2])
            let isKnown = index >= 2 && !seen.insert([octets[index - 2], octets[index - 1], octet]).inserted
            if !isSequence && !isKnown { surprises += 1 }
        }
        return Double(surprises) * log2(drawn)
    }

    private static func isAlphanumeric(_ octet: UInt8) -> Bool {
        (48...57).contains(octet) || (65...90).contains(octet) || (97...122).contains(octet)
    }

    /// A preshared key below 128 bits of estimated entropy.
    var isGuessable: Bool {
        guard let value else { return false }
        return Self.estimatedEntropy(value.revealed()) < 128
    }
}

extension Value {
    /// A text, `{ file: }` or `{ env: }`.
    func secret() -> ConfiguredSecret? {
        var hidden = self
        hidden.isSecret = true
        let allowed = "a text, { file: } or { env: }"
        if isScalar {
            guard let text = scalar, (1...ConfiguredSecret.maximumLength).contains(text.utf8.count) else {
                hidden.refuse(allowed: allowed)
                return nil
            }
            return ConfiguredSecret(.text, value: Secret(Array(text.utf8)), keyPath: path, position: position)
        }
        return hidden.section { section -> ConfiguredSecret? in
            let file = section["file"]
            let environment = section["env"]
            switch (file, environment) {
            case (let file?, nil):
                return file.absolutePath().map { ConfiguredSecret(.file($0), value: nil, keyPath: path, position: file.position) }
            case (nil, let environment?):
                return environment.name(max: 128).map {
                    ConfiguredSecret(.environment($0), value: nil, keyPath: path, position: environment.position)
                }
            default:
                hidden.reader.report(
                    at: position, path, found: file == nil ? "neither file nor env" : "both file and env",
                    allowed: "one of { file: } and { env: }")
                return nil
            }
        } ?? nil
    }
}
