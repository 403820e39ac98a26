import ArgumentParser

/// Lets global options stand before the command as well: `repo --repo /srv/backup snapshots`.
///
/// Each command declares them itself, so that they may follow it; here those in front are moved behind the command's
/// name.
enum LeadingOptions {
    private static let flags: Set<String> = ["--json", "--quiet", "-q", "--verbose", "-v"]
    private static let withValue: Set<String> = [
        "--repo", "--password-file", "--password-command", "--key-file", "--config", "--cache-dir",
    ]

    static func moved(_ arguments: [String]) -> [String] {
        var leading = 0
        while leading < arguments.count {
            let argument = arguments[leading]
            if flags.contains(argument) {
                leading += 1
            } else if withValue.contains(argument), leading + 1 < arguments.count {
                leading += 2
            } else if argument.hasPrefix("--"), let equals = argument.firstIndex(of: "="),
                withValue.contains(String(argument[..<equals]))
            {
                leading += 1
            } else {
                break
            }
        }
        guard leading > 0, leading < arguments.count, !arguments[leading].hasPrefix("-") else {
            return arguments
        }
        var names = 1
        let group = RepoCommand.configuration.subcommands.first { $0._commandName == arguments[leading] }
        if let group, leading + 1 < arguments.count,
            group.configuration.subcommands.contains(where: { $0._commandName == arguments[leading + 1] })
        {
            names = 2
        }
        return Array(arguments[leading..<leading + names]) + arguments[..<leading]
            + arguments[(leading + names)...]
    }
}
