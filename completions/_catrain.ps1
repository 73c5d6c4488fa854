
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'catrain' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'catrain'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'catrain' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run a command under carbon-aware supervision')
            [CompletionResult]::new('forecast', 'forecast', [CompletionResultType]::ParameterValue, 'Show the intensity ahead and the cleanest windows')
            [CompletionResult]::new('report', 'report', [CompletionResultType]::ParameterValue, 'Account for past runs: energy, emissions, what waiting avoided')
            [CompletionResult]::new('simulate', 'simulate', [CompletionResultType]::ParameterValue, 'What policies would have saved on past intensities')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the runs of this user')
            [CompletionResult]::new('pause', 'pause', [CompletionResultType]::ParameterValue, 'Hold a run until `catrain resume`; the plan does not lift it')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Let a held or paused run go on now')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'End a run: stop signal, then the grace period, then KILL')
            [CompletionResult]::new('reload', 'reload', [CompletionResultType]::ParameterValue, 'Have a run read its configuration anew; all live runs where none is named')
            [CompletionResult]::new('continue', 'continue', [CompletionResultType]::ParameterValue, 'Start a run again that ended before its job did: held, or waiting for a restart')
            [CompletionResult]::new('attach', 'attach', [CompletionResultType]::ParameterValue, 'Supervise a process that is already running; it offers less, and says so')
            [CompletionResult]::new('logs', 'logs', [CompletionResultType]::ParameterValue, 'Print what a detached run and its job wrote')
            [CompletionResult]::new('zones', 'zones', [CompletionResultType]::ParameterValue, 'List the grid zones that are known')
            [CompletionResult]::new('key', 'key', [CompletionResultType]::ParameterValue, 'Keep the keys of sources, encrypted')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Show, check, write, take back the configuration')
            [CompletionResult]::new('alerts', 'alerts', [CompletionResultType]::ParameterValue, 'Try out the channels that alerts go to, and show what nobody took')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check what works here, and say the exact fix for what does not')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the manual pages')
            break
        }
        'catrain;run' {
            [CompletionResult]::new('-z', '-z', [CompletionResultType]::ParameterName, 'Grid zone, as `catrain zones` lists them [default: guessed from the system''s time zone]')
            [CompletionResult]::new('--zone', '--zone', [CompletionResultType]::ParameterName, 'Grid zone, as `catrain zones` lists them [default: guessed from the system''s time zone]')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]')
            [CompletionResult]::new('--account-with', '--account-with', [CompletionResultType]::ParameterName, 'Keep a second, complete account by another signal, such as `watttime`')
            [CompletionResult]::new('--replay', '--replay', [CompletionResultType]::ParameterName, 'Live out a recorded day: a trace file or a built-in zone, from TIME on')
            [CompletionResult]::new('--speed', '--speed', [CompletionResultType]::ParameterName, 'How many times faster the replayed day passes')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Finish by: RFC 3339, `2026-11-25 09:00`, `tomorrow 09:00`, or `+36h`')
            [CompletionResult]::new('--max-delay', '--max-delay', [CompletionResultType]::ParameterName, 'Most time spent not progressing, in all; `0` never holds and never pauses [default: 12h with a duration, else half the time run so far]')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'How to choose when to run')
            [CompletionResult]::new('--threshold', '--threshold', [CompletionResultType]::ParameterName, 'For `threshold`: run at or below N g/kWh, or `p30`, a percentile of the next 24 h [default: p30]')
            [CompletionResult]::new('--carbon-budget', '--carbon-budget', [CompletionResultType]::ParameterName, 'Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %')
            [CompletionResult]::new('--on-budget', '--on-budget', [CompletionResultType]::ParameterName, 'What follows when the carbon budget is used up')
            [CompletionResult]::new('--min-run', '--min-run', [CompletionResultType]::ParameterName, 'Least time from a start or resume to the next pause')
            [CompletionResult]::new('--min-pause', '--min-pause', [CompletionResultType]::ParameterName, 'Least time paused')
            [CompletionResult]::new('--pause-with', '--pause-with', [CompletionResultType]::ParameterName, 'How the job is paused [default: stop, or the preset''s]')
            [CompletionResult]::new('--preset', '--preset', [CompletionResultType]::ParameterName, 'What is known of a framework: signals, who gets them, waits')
            [CompletionResult]::new('--max-stop', '--max-stop', [CompletionResultType]::ParameterName, 'Longest stop of a job that has not saved its state [default: 7m for several ranks, else none]')
            [CompletionResult]::new('--checkpoint-signal', '--checkpoint-signal', [CompletionResultType]::ParameterName, 'How the job is asked to save its state [default: USR1, or the preset''s]')
            [CompletionResult]::new('--checkpoint-to', '--checkpoint-to', [CompletionResultType]::ParameterName, 'Who of the job is asked to [default: leader, or the preset''s]')
            [CompletionResult]::new('--checkpoint-path', '--checkpoint-path', [CompletionResultType]::ParameterName, 'Proof of a save: a file that matches is new, or changed, and complete')
            [CompletionResult]::new('--checkpoint-line', '--checkpoint-line', [CompletionResultType]::ParameterName, 'Proof of a save: a line that matches, where progress is read from')
            [CompletionResult]::new('--checkpoint-timeout', '--checkpoint-timeout', [CompletionResultType]::ParameterName, 'How long a save may take')
            [CompletionResult]::new('--unproved', '--unproved', [CompletionResultType]::ParameterName, 'What follows when nothing proves a save in time')
            [CompletionResult]::new('--job-dir', '--job-dir', [CompletionResultType]::ParameterName, 'Directory that all nodes of a Slurm job share, by which their supervisors stop and go on together [default: the state directory]')
            [CompletionResult]::new('--resume-args', '--resume-args', [CompletionResultType]::ParameterName, 'Arguments to add when a job that has left is started again, such as `--resume latest`')
            [CompletionResult]::new('--progress-from', '--progress-from', [CompletionResultType]::ParameterName, 'Where the job says how far it is: a file, `stdout` or `stderr` [default: its stdout, else its stderr, where that goes to a file]')
            [CompletionResult]::new('--progress-pattern', '--progress-pattern', [CompletionResultType]::ParameterName, 'What progress looks like, with groups `done` and `total`, or `percent` [default: `step 120/9000`, tqdm, Lightning, Keras, Hugging Face]')
            [CompletionResult]::new('--stop-signal', '--stop-signal', [CompletionResultType]::ParameterName, 'How the job is asked to end by `catrain stop` [default: TERM, or the preset''s]')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'How long the job may take to end before it is killed [default: 30s, or the preset''s]')
            [CompletionResult]::new('--leftovers', '--leftovers', [CompletionResultType]::ParameterName, 'What becomes of processes that outlive the job''s first one')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'How often a job that fails is started again')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'How long to wait before that; twice as long each time, with jitter')
            [CompletionResult]::new('--on-pause', '--on-pause', [CompletionResultType]::ParameterName, 'Run CMD by `sh -c` when the job is paused; CATRAIN_RUN, CATRAIN_EVENT and more tell it why')
            [CompletionResult]::new('--on-resume', '--on-resume', [CompletionResultType]::ParameterName, 'The same when it goes on')
            [CompletionResult]::new('--on-end', '--on-end', [CompletionResultType]::ParameterName, 'The same when the run is over')
            [CompletionResult]::new('--power', '--power', [CompletionResultType]::ParameterName, 'Power of the job while running, in watts, where nothing is measured')
            [CompletionResult]::new('--idle-power', '--idle-power', [CompletionResultType]::ParameterName, 'Power that stays on while paused, in watts')
            [CompletionResult]::new('--gpus', '--gpus', [CompletionResultType]::ParameterName, 'GPUs to meter: indices, UUIDs or MIG ids, `all` or `none` [default: those that the job may see]')
            [CompletionResult]::new('--share', '--share', [CompletionResultType]::ParameterName, 'Whose energy is counted where others use the machine too [default: job]')
            [CompletionResult]::new('--pue', '--pue', [CompletionResultType]::ParameterName, 'Facility energy divided by IT energy [default: IT equipment only]')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name for status and reports [default: the program''s name]')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'Label for reports; may be repeated')
            [CompletionResult]::new('--summary', '--summary', [CompletionResultType]::ParameterName, 'What is printed at the end, to stderr')
            [CompletionResult]::new('--summary-file', '--summary-file', [CompletionResultType]::ParameterName, 'Write the summary to a file as well')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'A countdown while held or paused')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Serve health and metrics over HTTP: `9090`, `127.0.0.1:9090`, `[::1]:9090`; port 0 takes a free one')
            [CompletionResult]::new('--metrics-file', '--metrics-file', [CompletionResultType]::ParameterName, 'Write metrics to a file now and then, by its ending: `.json`, `.prom` (the last look) or `.csv` (a row each time)')
            [CompletionResult]::new('--metrics-every', '--metrics-every', [CompletionResultType]::ParameterName, 'How often')
            [CompletionResult]::new('--detached', '--detached', [CompletionResultType]::ParameterName, 'Started by `--detach`, with this file for the output')
            [CompletionResult]::new('--continues', '--continues', [CompletionResultType]::ParameterName, 'Started by `continue`, in the place of this run')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Ask nobody: cache, files and built-in data only')
            [CompletionResult]::new('--duration-exact', '--duration-exact', [CompletionResultType]::ParameterName, 'The duration is sure: plan without a safety margin')
            [CompletionResult]::new('--tty', '--tty', [CompletionResultType]::ParameterName, 'Give the job the controlling terminal (password prompts, shells); it may be held, never paused')
            [CompletionResult]::new('--reserved', '--reserved', [CompletionResultType]::ParameterName, 'The hardware is reserved for this run: its idle power counts while held')
            [CompletionResult]::new('--listen-anywhere', '--listen-anywhere', [CompletionResultType]::ParameterName, 'Let `--listen` take an address that other machines can reach; the token crosses the network')
            [CompletionResult]::new('-D', '-D ', [CompletionResultType]::ParameterName, 'Supervise from a session of its own, with the output in a file: prints the run''s id and returns')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Supervise from a session of its own, with the output in a file: prints the run''s id and returns')
            [CompletionResult]::new('--submitted', '--submitted', [CompletionResultType]::ParameterName, 'Inside a job that `slurm submit` has submitted')
            [CompletionResult]::new('--keeper', '--keeper', [CompletionResultType]::ParameterName, 'Started by the supervisor of a batch script, on each other node of its job')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;forecast' {
            [CompletionResult]::new('-z', '-z', [CompletionResultType]::ParameterName, 'Grid zone, such as DE or US-CAL-CISO; give it again to compare several')
            [CompletionResult]::new('--zone', '--zone', [CompletionResultType]::ParameterName, 'Grid zone, such as DE or US-CAL-CISO; give it again to compare several')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Where intensities come from, in order of preference: a service''s name, file:PATH, built-in')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'Where intensities come from, in order of preference: a service''s name, file:PATH, built-in')
            [CompletionResult]::new('--hours', '--hours', [CompletionResultType]::ParameterName, 'How far ahead to look, up to 168')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'How long the work takes: the cleanest windows of that length are listed')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'How long the work takes: the cleanest windows of that length are listed')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Only windows that end by then: ''tomorrow 09:00'', ''2026-11-25 09:00'', +36h, RFC 3339')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print it')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Ask nobody: cache, files and built-in data only')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Go on and print it anew whenever there is something new, until Ctrl-C')
            [CompletionResult]::new('--score', '--score', [CompletionResultType]::ParameterName, 'Instead: how good past forecasts of each source were, by what was kept of them')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;report' {
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Only runs started at or after this time: 2026-11-24, ''2026-11-24 09:00'', or RFC 3339')
            [CompletionResult]::new('--until', '--until', [CompletionResultType]::ParameterName, 'Only runs started before this time')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How it is written')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write to a file instead of standard output')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write to a file instead of standard output')
            [CompletionResult]::new('--by', '--by', [CompletionResultType]::ParameterName, 'Add up by run, day, zone, job of Slurm''s (an array is one), or the value of a label: run, day, zone, job, label:K')
            [CompletionResult]::new('--as-of', '--as-of', [CompletionResultType]::ParameterName, 'As it was known at this time: intensities that became known later are left out')
            [CompletionResult]::new('--per', '--per', [CompletionResultType]::ParameterName, 'Functional unit of the software carbon intensity (ISO/IEC 21031); needs --embodied as well, and --count unless it is `run`')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'How many of these units a run did')
            [CompletionResult]::new('--embodied', '--embodied', [CompletionResultType]::ParameterName, 'Embodied emissions of the hardware, and over how many years they are spread: `1500kg/4`, or `table` for those of its GPUs that are known')
            [CompletionResult]::new('--head', '--head', [CompletionResultType]::ParameterName, 'With --verify: the digest that was kept elsewhere')
            [CompletionResult]::new('--signed-by', '--signed-by', [CompletionResultType]::ParameterName, 'With --verify: the public key, in PEM, whose signature the head must have')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Do not fetch intensities that became known since, and ask nobody')
            [CompletionResult]::new('--compare-failed', '--compare-failed', [CompletionResultType]::ParameterName, 'Compare with starting at once even where the job failed or was stopped')
            [CompletionResult]::new('--full-command', '--full-command', [CompletionResultType]::ParameterName, 'Show whole commands, secrets redacted, also in formats that are made to be shared')
            [CompletionResult]::new('--verify', '--verify', [CompletionResultType]::ParameterName, 'Instead: check that records are complete and unchanged')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;simulate' {
            [CompletionResult]::new('--trace', '--trace', [CompletionResultType]::ParameterName, 'Past intensities: `datetime,carbon_intensity_gco2_per_kwh`; may be repeated')
            [CompletionResult]::new('--forecasts', '--forecasts', [CompletionResultType]::ParameterName, 'Forecasts as they were issued, with what came: `issued_at,target_time,forecast,actual`; a directory means all files in it')
            [CompletionResult]::new('--run', '--run', [CompletionResultType]::ParameterName, 'One of your own runs, as it was recorded')
            [CompletionResult]::new('-z', '-z', [CompletionResultType]::ParameterName, 'Only this zone of the files; for one file, the zone that it is of; with --run, the zone to move the run to [default: by the files'' names]')
            [CompletionResult]::new('--zone', '--zone', [CompletionResultType]::ParameterName, 'Only this zone of the files; for one file, the zone that it is of; with --run, the zone to move the run to [default: by the files'' names]')
            [CompletionResult]::new('--profiles', '--profiles', [CompletionResultType]::ParameterName, 'Usual days in place of the built-in ones: `zone,month,hour_utc,mean`')
            [CompletionResult]::new('--horizon', '--horizon', [CompletionResultType]::ParameterName, 'How far issued forecasts reach: `24h`, or `day`: to the end of the zone''s local day')
            [CompletionResult]::new('--outage', '--outage', [CompletionResultType]::ParameterName, 'Times without news from the sources, such as `6h@3d`: six hours in every three days')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'Jobs, a line each: `job_id,arrival,duration_minutes[,deadline][,power_w][,interruptible]`')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Running time of the jobs; several make several cells')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'Running time of the jobs; several make several cells')
            [CompletionResult]::new('--slack', '--slack', [CompletionResultType]::ParameterName, 'How much later than necessary each job is due; several make several cells [default: what a run without a deadline may take]')
            [CompletionResult]::new('--every', '--every', [CompletionResultType]::ParameterName, 'A job arrives so often')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Jobs arrive from here on (UTC) [default: where the data begins]')
            [CompletionResult]::new('--until', '--until', [CompletionResultType]::ParameterName, 'Jobs arrive before this (UTC) [default: where the data ends]')
            [CompletionResult]::new('--duration-error', '--duration-error', [CompletionResultType]::ParameterName, 'Jobs take so much longer or shorter than was said, one or the other: `20%`')
            [CompletionResult]::new('--rate-noise', '--rate-noise', [CompletionResultType]::ParameterName, 'Speed of a job from hour to hour, as a standard deviation: `2%`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Another draw of what is random')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'What is compared')
            [CompletionResult]::new('--power', '--power', [CompletionResultType]::ParameterName, 'Power of a job while it runs, in watts [default: 300; with --run as recorded]')
            [CompletionResult]::new('--idle-power', '--idle-power', [CompletionResultType]::ParameterName, 'Power that stays on while paused: watts, or a share of the job''s: `30`, `10%` [default: 0; with --run as recorded]')
            [CompletionResult]::new('--pause-cost', '--pause-cost', [CompletionResultType]::ParameterName, 'Running time that a pause costs before the job stands')
            [CompletionResult]::new('--resume-cost', '--resume-cost', [CompletionResultType]::ParameterName, 'Running time that a resume costs before there is progress')
            [CompletionResult]::new('--min-run', '--min-run', [CompletionResultType]::ParameterName, 'Least time from a start or resume to the next pause')
            [CompletionResult]::new('--min-pause', '--min-pause', [CompletionResultType]::ParameterName, 'Least time paused')
            [CompletionResult]::new('--max-pauses', '--max-pauses', [CompletionResultType]::ParameterName, 'Most pauses of a job [default: no limit]')
            [CompletionResult]::new('--tick', '--tick', [CompletionResultType]::ParameterName, 'Time between two decisions, and the grid of oracle and k-lowest [default: the step of the data, 5m to 1h]')
            [CompletionResult]::new('--start', '--start', [CompletionResultType]::ParameterName, 'With --run: when it is started instead; may be repeated')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How it is printed')
            [CompletionResult]::new('--plot', '--plot', [CompletionResultType]::ParameterName, 'Draw saved percent against slack, a line a policy')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads to use; the results are the same for any number [default: one a core]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--no-learning', '--no-learning', [CompletionResultType]::ParameterName, 'Do not learn from past forecasts how far to trust them')
            [CompletionResult]::new('--paired', '--paired', [CompletionResultType]::ParameterName, 'Pair the durations with the slacks one by one, instead of each with each')
            [CompletionResult]::new('--unknown-duration', '--unknown-duration', [CompletionResultType]::ParameterName, 'Policies do not know how long jobs take; the slack is the most delay they are given')
            [CompletionResult]::new('--duration-exact', '--duration-exact', [CompletionResultType]::ParameterName, 'Policies know the durations for sure and keep no margin')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;status' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON document')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Go on and show it again whenever there is something new, until Ctrl-C')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;pause' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;resume' {
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'Only for this long, such as `2h`; then things are as before again')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;stop' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;reload' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;continue' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;attach' {
            [CompletionResult]::new('-z', '-z', [CompletionResultType]::ParameterName, 'Grid zone, as `catrain zones` lists them [default: guessed from the system''s time zone]')
            [CompletionResult]::new('--zone', '--zone', [CompletionResultType]::ParameterName, 'Grid zone, as `catrain zones` lists them [default: guessed from the system''s time zone]')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]')
            [CompletionResult]::new('--account-with', '--account-with', [CompletionResultType]::ParameterName, 'Keep a second, complete account by another signal, such as `watttime`')
            [CompletionResult]::new('--replay', '--replay', [CompletionResultType]::ParameterName, 'Live out a recorded day: a trace file or a built-in zone, from TIME on')
            [CompletionResult]::new('--speed', '--speed', [CompletionResultType]::ParameterName, 'How many times faster the replayed day passes')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]')
            [CompletionResult]::new('--duration', '--duration', [CompletionResultType]::ParameterName, 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Finish by: RFC 3339, `2026-11-25 09:00`, `tomorrow 09:00`, or `+36h`')
            [CompletionResult]::new('--max-delay', '--max-delay', [CompletionResultType]::ParameterName, 'Most time spent not progressing, in all; `0` never holds and never pauses [default: 12h with a duration, else half the time run so far]')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'How to choose when to run')
            [CompletionResult]::new('--threshold', '--threshold', [CompletionResultType]::ParameterName, 'For `threshold`: run at or below N g/kWh, or `p30`, a percentile of the next 24 h [default: p30]')
            [CompletionResult]::new('--carbon-budget', '--carbon-budget', [CompletionResultType]::ParameterName, 'Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %')
            [CompletionResult]::new('--on-budget', '--on-budget', [CompletionResultType]::ParameterName, 'What follows when the carbon budget is used up')
            [CompletionResult]::new('--min-run', '--min-run', [CompletionResultType]::ParameterName, 'Least time from a start or resume to the next pause')
            [CompletionResult]::new('--min-pause', '--min-pause', [CompletionResultType]::ParameterName, 'Least time paused')
            [CompletionResult]::new('--pause-with', '--pause-with', [CompletionResultType]::ParameterName, 'How the job is paused [default: stop, or the preset''s]')
            [CompletionResult]::new('--preset', '--preset', [CompletionResultType]::ParameterName, 'What is known of a framework: signals, who gets them, waits')
            [CompletionResult]::new('--max-stop', '--max-stop', [CompletionResultType]::ParameterName, 'Longest stop of a job that has not saved its state [default: 7m for several ranks, else none]')
            [CompletionResult]::new('--checkpoint-signal', '--checkpoint-signal', [CompletionResultType]::ParameterName, 'How the job is asked to save its state [default: USR1, or the preset''s]')
            [CompletionResult]::new('--checkpoint-to', '--checkpoint-to', [CompletionResultType]::ParameterName, 'Who of the job is asked to [default: leader, or the preset''s]')
            [CompletionResult]::new('--checkpoint-path', '--checkpoint-path', [CompletionResultType]::ParameterName, 'Proof of a save: a file that matches is new, or changed, and complete')
            [CompletionResult]::new('--checkpoint-line', '--checkpoint-line', [CompletionResultType]::ParameterName, 'Proof of a save: a line that matches, where progress is read from')
            [CompletionResult]::new('--checkpoint-timeout', '--checkpoint-timeout', [CompletionResultType]::ParameterName, 'How long a save may take')
            [CompletionResult]::new('--unproved', '--unproved', [CompletionResultType]::ParameterName, 'What follows when nothing proves a save in time')
            [CompletionResult]::new('--job-dir', '--job-dir', [CompletionResultType]::ParameterName, 'Directory that all nodes of a Slurm job share, by which their supervisors stop and go on together [default: the state directory]')
            [CompletionResult]::new('--resume-args', '--resume-args', [CompletionResultType]::ParameterName, 'Arguments to add when a job that has left is started again, such as `--resume latest`')
            [CompletionResult]::new('--progress-from', '--progress-from', [CompletionResultType]::ParameterName, 'Where the job says how far it is: a file, `stdout` or `stderr` [default: its stdout, else its stderr, where that goes to a file]')
            [CompletionResult]::new('--progress-pattern', '--progress-pattern', [CompletionResultType]::ParameterName, 'What progress looks like, with groups `done` and `total`, or `percent` [default: `step 120/9000`, tqdm, Lightning, Keras, Hugging Face]')
            [CompletionResult]::new('--stop-signal', '--stop-signal', [CompletionResultType]::ParameterName, 'How the job is asked to end by `catrain stop` [default: TERM, or the preset''s]')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'How long the job may take to end before it is killed [default: 30s, or the preset''s]')
            [CompletionResult]::new('--leftovers', '--leftovers', [CompletionResultType]::ParameterName, 'What becomes of processes that outlive the job''s first one')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'How often a job that fails is started again')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'How long to wait before that; twice as long each time, with jitter')
            [CompletionResult]::new('--on-pause', '--on-pause', [CompletionResultType]::ParameterName, 'Run CMD by `sh -c` when the job is paused; CATRAIN_RUN, CATRAIN_EVENT and more tell it why')
            [CompletionResult]::new('--on-resume', '--on-resume', [CompletionResultType]::ParameterName, 'The same when it goes on')
            [CompletionResult]::new('--on-end', '--on-end', [CompletionResultType]::ParameterName, 'The same when the run is over')
            [CompletionResult]::new('--power', '--power', [CompletionResultType]::ParameterName, 'Power of the job while running, in watts, where nothing is measured')
            [CompletionResult]::new('--idle-power', '--idle-power', [CompletionResultType]::ParameterName, 'Power that stays on while paused, in watts')
            [CompletionResult]::new('--gpus', '--gpus', [CompletionResultType]::ParameterName, 'GPUs to meter: indices, UUIDs or MIG ids, `all` or `none` [default: those that the job may see]')
            [CompletionResult]::new('--share', '--share', [CompletionResultType]::ParameterName, 'Whose energy is counted where others use the machine too [default: job]')
            [CompletionResult]::new('--pue', '--pue', [CompletionResultType]::ParameterName, 'Facility energy divided by IT energy [default: IT equipment only]')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name for status and reports [default: the program''s name]')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'Label for reports; may be repeated')
            [CompletionResult]::new('--summary', '--summary', [CompletionResultType]::ParameterName, 'What is printed at the end, to stderr')
            [CompletionResult]::new('--summary-file', '--summary-file', [CompletionResultType]::ParameterName, 'Write the summary to a file as well')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'A countdown while held or paused')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Serve health and metrics over HTTP: `9090`, `127.0.0.1:9090`, `[::1]:9090`; port 0 takes a free one')
            [CompletionResult]::new('--metrics-file', '--metrics-file', [CompletionResultType]::ParameterName, 'Write metrics to a file now and then, by its ending: `.json`, `.prom` (the last look) or `.csv` (a row each time)')
            [CompletionResult]::new('--metrics-every', '--metrics-every', [CompletionResultType]::ParameterName, 'How often')
            [CompletionResult]::new('--detached', '--detached', [CompletionResultType]::ParameterName, 'Started by `--detach`, with this file for the output')
            [CompletionResult]::new('--continues', '--continues', [CompletionResultType]::ParameterName, 'Started by `continue`, in the place of this run')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Ask nobody: cache, files and built-in data only')
            [CompletionResult]::new('--duration-exact', '--duration-exact', [CompletionResultType]::ParameterName, 'The duration is sure: plan without a safety margin')
            [CompletionResult]::new('--tty', '--tty', [CompletionResultType]::ParameterName, 'Give the job the controlling terminal (password prompts, shells); it may be held, never paused')
            [CompletionResult]::new('--reserved', '--reserved', [CompletionResultType]::ParameterName, 'The hardware is reserved for this run: its idle power counts while held')
            [CompletionResult]::new('--listen-anywhere', '--listen-anywhere', [CompletionResultType]::ParameterName, 'Let `--listen` take an address that other machines can reach; the token crosses the network')
            [CompletionResult]::new('-D', '-D ', [CompletionResultType]::ParameterName, 'Supervise from a session of its own, with the output in a file: prints the run''s id and returns')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Supervise from a session of its own, with the output in a file: prints the run''s id and returns')
            [CompletionResult]::new('--submitted', '--submitted', [CompletionResultType]::ParameterName, 'Inside a job that `slurm submit` has submitted')
            [CompletionResult]::new('--keeper', '--keeper', [CompletionResultType]::ParameterName, 'Started by the supervisor of a batch script, on each other node of its job')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Pause it even if it shares its session with others, or has a terminal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;logs' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Go on until the run is over')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Go on until the run is over')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;zones' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--sources', '--sources', [CompletionResultType]::ParameterName, 'Instead: what each source can do')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON document, `catrain.zones/1` or `catrain.sources/1`')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;key' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Keep a key: typed without being shown, or from standard input')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Show which sources have a key, where and since when; no keys')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Replace a kept key; the one before it is tried once more should the new one be refused')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Forget a kept key, and say where there still is one')
            break
        }
        'catrain;key;set' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--passphrase', '--passphrase', [CompletionResultType]::ParameterName, 'Seal it with a passphrase that is asked for, unless CATRAIN_PASSPHRASE is set')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;key;list' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON document, catrain.keys/1')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;key;rotate' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;key;remove' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;config' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Print what is in force, as a file would say it; no secrets')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Tell everything that is wrong with the files and variables, or with one file')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write your own config.toml: every key in a comment, with what it means')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print a JSON Schema of the file, for editors')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'List the versions of your own file that were in force, or print one')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Put a version that was in force before in the place of your own file')
            break
        }
        'catrain;config;show' {
            [CompletionResult]::new('--run', '--run', [CompletionResultType]::ParameterName, 'What this live run goes by')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'Say of each value who set it, and where')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON document, catrain.config/1')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;config;check' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;config;init' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--print', '--print', [CompletionResultType]::ParameterName, 'Print it instead')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;config;schema' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;config;history' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON document, catrain.config-history/1')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;config;rollback' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;alerts' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('test', 'test', [CompletionResultType]::ParameterValue, 'Send a test message over each channel, and say what came of it')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Show what is not delivered yet, and why')
            [CompletionResult]::new('retry', 'retry', [CompletionResultType]::ParameterValue, 'Try now to deliver what waits')
            break
        }
        'catrain;alerts;test' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Ask nobody: shows what is configured, sends nothing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;alerts;list' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON document, catrain.letters/1')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;alerts;retry' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Ask nobody')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;doctor' {
            [CompletionResult]::new('-z', '-z', [CompletionResultType]::ParameterName, 'The zone that runs will have [default: as for `run`]')
            [CompletionResult]::new('--zone', '--zone', [CompletionResultType]::ParameterName, 'The zone that runs will have [default: as for `run`]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Ask nobody')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON document, `catrain.doctor/1`')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;completions' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'catrain;man' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colours in what catrain says')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to a file, readable by you alone and put aside as it grows [default: standard error]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'How lines of the log look [default: text on a terminal, JSON elsewhere]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
