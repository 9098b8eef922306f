/// Text from a peer made harmless for a line of a log, a table or a label: printable ASCII, one line, a cap (threats.md C11).
package enum EscapedText {
    /// The cap on one value, in octets of the escaped text.
    package static let limit = 256

    /// Octets as printable ASCII: a backslash is doubled and everything outside 0x20...0x7e becomes `\xNN`, so that two
    /// different values never look alike. Where the cap cuts, the text ends in `...`.
    package static func of(_ octets: some Sequence<UInt8>, limit: Int = limit) -> String {
        escape(octets, limit: limit, doublingBackslashes: true)
    }

    /// Text that may have been escaped already: as `of`, but a backslash stays as it is, so that doing it twice changes nothing.
    package static func shown(_ text: String, limit: Int = limit) -> String {
        escape(text.utf8, limit: limit, doublingBackslashes: false)
    }

    private static func escape(_ octets: some Sequence<UInt8>, limit: Int, doublingBackslashes: Bool) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let ellipsis = Array("...".utf8)
        var text: [UInt8] = []
        // Where the text still leaves room for the ellipsis; an escape is never cut in two.
        var safe = 0
        for octet in octets {
            var piece: [UInt8]
            switch octet {
            case UInt8(ascii: "\\") where doublingBackslashes: piece = [octet, octet]
            case 0x20...0x7e: piece = [octet]
            default: piece = [UInt8(ascii: "\\"), UInt8(ascii: "x"), digits[Int(octet >> 4)], digits[Int(octet & 15)]]
            }
            guard text.count + piece.count <= limit else {
                text.removeSubrange(min(safe, text.count)...)
                text.append(contentsOf: ellipsis.prefix(max(0, limit - text.count)))
                break
            }
            text.append(contentsOf: piece)
            if text.count + ellipsis.count <= limit { safe = text.count }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
