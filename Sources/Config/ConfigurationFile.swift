import Foundation

/// Reading a configuration file.
package enum ConfigurationFile {
    /// Octets.
    package static let longest = 4 << 20

    /// Why there is no text; says what to do.
    package struct Unreadable: Error, CustomStringConvertible {
        package let description: String
    }

    package static func text(_ path: String) throws(Unreadable) -> String {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw Unreadable(
                description: "\(path.escaped(limit: 1024)) cannot be read: \(unsafe String(cString: strerror(errno))); name a file that is there")
        }
        defer { try? handle.close() }
        guard let data = try? handle.read(upToCount: longest + 1) else {
            throw Unreadable(description: "\(path.escaped(limit: 1024)) cannot be read; is it a directory?")
        }
        guard data.count <= longest else { throw Unreadable(description: "\(path.escaped(limit: 1024)) is larger than \(longest) octets") }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw Unreadable(description: "\(path.escaped(limit: 1024)) is not UTF-8 text")
        }
        return text
    }
}
