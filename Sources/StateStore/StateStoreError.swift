import Foundation
import GRDB

/// Why state cannot be kept, and what to do about it.
package enum StateStoreError: Error, Hashable, Sendable {
    /// The directory cannot be made, entered or written; with the system's error number.
    case directory(String, Int32)
    /// The file cannot be opened.
    case file(String, Int32)
    /// The file is damaged or is no database.
    case corrupt(path: String)
    /// A later version of the program wrote the file.
    case newerSchema(path: String)
    case diskFull(path: String)
    /// Another process holds the file.
    case busy(path: String)
    case readOnly(path: String)
    /// Reading or writing failed below SQLite, with its code.
    case inputOutput(path: String, code: Int32)
    /// More changes wait than the store takes.
    case overloaded
    case closed

    /// A row that this program cannot have written.
    struct Damage: Error {}

    init(_ error: any Error, path: String) {
        switch error {
        case let error as StateStoreError: self = error
        case is Damage: self = .corrupt(path: path)
        case let error as DatabaseError:
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .corrupt(path: path)
            case .SQLITE_FULL: self = .diskFull(path: path)
            case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy(path: path)
            case .SQLITE_READONLY, .SQLITE_PERM: self = .readOnly(path: path)
            case .SQLITE_CANTOPEN: self = .file(path, EACCES)
            case .SQLITE_MISUSE: self = .closed
            default: self = .inputOutput(path: path, code: error.extendedResultCode.rawValue)
            }
        default: self = .inputOutput(path: path, code: -1)
        }
    }
}

extension StateStoreError: CustomStringConvertible {
    package var description: String {
        func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
        return switch self {
        case .directory(let path, let code):
            "the state directory \(path) cannot be used (\(reason(code))): create it and make it writable, or set management.state-directory"
        case .file(let path, let code): "\(path) cannot be opened (\(reason(code))): make it a file that this user can write"
        case .corrupt(let path):
            "\(path) is damaged: stop the gateway, move the file away and start again; leases are then given out anew"
        case .newerSchema(let path):
            "\(path) was written by a later version: run that version, or move the file away"
        case .diskFull(let path): "no space is left for \(path): free some; logins are refused until then"
        case .busy(let path): "another process holds \(path): stop the other ipsec-gw"
        case .readOnly(let path): "\(path) cannot be written: make the file and its directory writable"
        case .inputOutput(let path, let code): "reading or writing \(path) failed (SQLite \(code)): check the disk"
        case .overloaded: "more changes wait for the disk than the store takes: check the disk's speed"
        case .closed: "the store is closed"
        }
    }
}
