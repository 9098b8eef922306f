/// Textual encodings, RFC 7468: strict labels, base64 with any white space between.
package enum PEM {
    package enum Failure: Error, Hashable, Sendable {
        /// More octets than a file of certificates or keys has.
        case tooLarge
        /// No block of the wanted label.
        case missing
        /// A block without end, or with something else than base64 in it.
        case malformed
    }

    /// What a file may have.
    package static let maximumSize = 1 << 20
    private static let maximumBlocks = 256

    package struct Block: Hashable, Sendable {
        package let label: String
        package let octets: [UInt8]
    }

    /// Whether the octets are a PEM file rather than DER.
    package static func isText(_ file: [UInt8]) -> Bool {
        Substring(decoding: file.prefix(maximumSize), as: UTF8.self).contains("-----BEGIN ")
    }

    /// Every block of a file, in order.
    package static func blocks(_ file: [UInt8]) throws(Failure) -> [Block] {
        guard file.count <= maximumSize else { throw .tooLarge }
        var blocks: [Block] = []
        var label: String?
        var text: [UInt8] = []
        for line in file.split(whereSeparator: { $0 == 0x0a || $0 == 0x0d }) {
            let trimmed = String(decoding: line, as: UTF8.self).trimmed
            if let begun = label {
                if trimmed == "-----END \(begun)-----" {
                    guard let octets = decodeBase64(text) else { throw .malformed }
                    guard blocks.count < maximumBlocks else { throw .tooLarge }
                    blocks.append(Block(label: begun, octets: octets))
                    label = nil
                    text = []
                } else {
                    guard !trimmed.hasPrefix("-----") else { throw .malformed }
                    text += line
                }
            } else if trimmed.hasPrefix("-----BEGIN "), trimmed.hasSuffix("-----"), trimmed.utf8.count > 16 {
                label = String(trimmed.dropFirst(11).dropLast(5))
            }
        }
        guard label == nil else { throw .malformed }
        return blocks
    }

    package static func encode(_ label: String, _ octets: [UInt8]) -> String {
        var text = "-----BEGIN \(label)-----\n"
        let digits = encodeBase64(octets)
        var start = 0
        while start < digits.count {
            text += String(decoding: digits[start..<min(start + 64, digits.count)], as: UTF8.self) + "\n"
            start += 64
        }
        return text + "-----END \(label)-----\n"
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    package static func encodeBase64(_ octets: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(octets.count / 3 * 4 + 4)
        var bits: UInt32 = 0
        var count = 0
        for octet in octets {
            bits = bits << 8 | UInt32(octet)
            count += 1
            if count == 3 {
                for shift in stride(from: 18, through: 0, by: -6) { text.append(alphabet[Int(bits >> UInt32(shift) & 63)]) }
                bits = 0
                count = 0
            }
        }
        if count > 0 {
            bits <<= UInt32(8 * (3 - count))
            for index in 0..<4 {
                text.append(index <= count ? alphabet[Int(bits >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return text
    }

    /// Nil for a character outside the alphabet, a wrong length, wrong padding, or bits that must be zero.
    package static func decodeBase64(_ text: [UInt8]) -> [UInt8]? {
        var octets: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for character in text {
            let digit: UInt32
            switch character {
            case 0x20, 0x09, 0x0a, 0x0d: continue
            case UInt8(ascii: "="):
                padding += 1
                count += 1
                guard padding <= 2, count > 2 else { return nil }
                bits <<= 6
                if count == 4 {
                    guard bits & (padding == 2 ? 0xffff : 0xff) == 0 else { return nil }
                    octets.append(UInt8(truncatingIfNeeded: bits >> 16))
                    if padding == 1 { octets.append(UInt8(truncatingIfNeeded: bits >> 8)) }
                }
                continue
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = UInt32(character - UInt8(ascii: "A"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = UInt32(character - UInt8(ascii: "a")) + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = UInt32(character - UInt8(ascii: "0")) + 52
            case UInt8(ascii: "+"): digit = 62
            case UInt8(ascii: "/"): digit = 63
            default: return nil
            }
            guard padding == 0 else { return nil }
            bits = bits << 6 | digit
            count += 1
            if count == 4 {
                for shift in [16, 8, 0] { octets.append(UInt8(truncatingIfNeeded: bits >> UInt32(shift))) }
                bits = 0
                count = 0
            }
        }
        guard padding == 0 ? count == 0 : count == 4 else { return nil }
        return octets
    }
}

extension String {
    fileprivate var trimmed: Substring {
        var rest = Substring(self)
        while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
        while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
        return rest
    }
}
