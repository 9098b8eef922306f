import ArgumentParser
import GatewayCrypto
import Glibc
import RoadWarrior
import Wire

/// The file behind `--key-log`: a line of JSON for each Child SA, readable by its owner alone.
enum KeyLog {
    /// Throws a `ValidationError` that names the file.
    static func opened(_ path: String) throws -> RoadWarrior.ChildKeyLog {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ValidationError("--key-log: cannot write \(path): \(unsafe String(cString: strerror(errno)))") }
        return { keys in
            let octets = Array(line(keys).utf8)
            _ = unsafe octets.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        }
    }

    static func line(_ keys: RoadWarrior.ChildKeys) -> String {
        let facts = keys.facts
        let fields = [
            "\"in\":\(facts.inboundSPI)", "\"out\":\(facts.outboundSPI)", "\"encryption\":\(facts.protection.encryption.rawValue)",
            "\"integrity\":\(facts.protection.integrity.rawValue)", "\"esn\":\(facts.extendedSequenceNumbers)",
            "\"key_in\":\"\(keys.inboundEncryption.hexadecimal)\"", "\"auth_in\":\"\(keys.inboundIntegrity.hexadecimal)\"",
            "\"key_out\":\"\(keys.outboundEncryption.hexadecimal)\"", "\"auth_out\":\"\(keys.outboundIntegrity.hexadecimal)\"",
        ]
        return "{" + fields.joined(separator: ",") + "}\n"
    }
}
