import Policy
import RepoBase

/// What a running command works with.
struct CommandContext {
    let console: Console
    let options: GlobalOptions

    /// The machine's zone; UTC where `TZ` names none that is known.
    var zone: any ZoneOffsets {
        do { return try SystemZone.machine(tz: console.environment["TZ"]) } catch { return FixedOffset.utc }
    }

    /// A line for people beside the results: on standard error, and not with --quiet or --json.
    func note(_ line: String) {
        if !options.quiet, !options.json { console.note(line) }
    }

    /// A warning: something was left out of a result. With --quiet too.
    func warn(_ line: String) {
        if options.json {
            console.note(JSONOutput.line(["warning": line]))
        } else {
            console.note("\(console.name) \(line)")
        }
    }
}
