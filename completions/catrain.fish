# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_catrain_global_optspecs
    string join \n color= profile= log-level= log-file= log-format= h/help V/version
end

function __fish_catrain_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_catrain_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_catrain_using_subcommand
    set -l cmd (__fish_catrain_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c catrain -n "__fish_catrain_needs_command" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_needs_command" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_needs_command" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_needs_command" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_needs_command" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_needs_command" -s V -l version -d 'Print version'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "run" -d 'Run a command under carbon-aware supervision'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "forecast" -d 'Show the intensity ahead and the cleanest windows'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "report" -d 'Account for past runs: energy, emissions, what waiting avoided'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "simulate" -d 'What policies would have saved on past intensities'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "status" -d 'Show the runs of this user'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "pause" -d 'Hold a run until `catrain resume`; the plan does not lift it'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "resume" -d 'Let a held or paused run go on now'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "stop" -d 'End a run: stop signal, then the grace period, then KILL'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "reload" -d 'Have a run read its configuration anew; all live runs where none is named'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "continue" -d 'Start a run again that ended before its job did: held, or waiting for a restart'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "attach" -d 'Supervise a process that is already running; it offers less, and says so'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "logs" -d 'Print what a detached run and its job wrote'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "zones" -d 'List the grid zones that are known'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "key" -d 'Keep the keys of sources, encrypted'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "config" -d 'Show, check, write, take back the configuration'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "alerts" -d 'Try out the channels that alerts go to, and show what nobody took'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "doctor" -d 'Check what works here, and say the exact fix for what does not'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "slurm" -d 'Give whole jobs on a Slurm cluster their begin time'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c catrain -n "__fish_catrain_needs_command" -f -a "man" -d 'Write the manual pages'
complete -c catrain -n "__fish_catrain_using_subcommand run" -s z -l zone -d 'Grid zone, as `catrain zones` lists them [default: guessed from the system\'s time zone]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -s s -l source -d 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l account-with -d 'Keep a second, complete account by another signal, such as `watttime`' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l replay -d 'Live out a recorded day: a trace file or a built-in zone, from TIME on' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l speed -d 'How many times faster the replayed day passes' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -s d -l duration -d 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l deadline -d 'Finish by: RFC 3339, `2026-11-25 09:00`, `tomorrow 09:00`, or `+36h`' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l max-delay -d 'Most time spent not progressing, in all; `0` never holds and never pauses [default: 12h with a duration, else half the time run so far]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l policy -d 'How to choose when to run' -r -f -a "plan\t'Least emissions within deadline and delay'
threshold\t'Run while the intensity is at or below a limit'
window\t'One uninterrupted run at the cleanest time'
budget\t'The earliest end within `--carbon-budget`'
now\t'At once, never paused'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l threshold -d 'For `threshold`: run at or below N g/kWh, or `p30`, a percentile of the next 24 h [default: p30]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l carbon-budget -d 'Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l on-budget -d 'What follows when the carbon budget is used up' -r -f -a "warn\t'Say so'
pause\t'Hold the job, as `catrain pause` does, until `catrain resume`'
stop\t'End the job, as `catrain stop` does'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l min-run -d 'Least time from a start or resume to the next pause' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l min-pause -d 'Least time paused' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l pause-with -d 'How the job is paused [default: stop, or the preset\'s]' -r -f -a "stop\t'Stop every process, and continue them later'
freeze\t'Freeze the job\'s control group; falls back to `stop` where that is not possible'
checkpoint\t'Have the job save its state, see the proof, then stop it'
restart\t'Have the job save its state and leave; start the command again later'
requeue\t'Have the job save its state, then put it back into Slurm\'s queue until it is to go on: its nodes are free meanwhile'
suspend\t'Have Slurm suspend the job, where you are an operator; `catrain slurm watch` does it'
auto\t'`stop` or `restart`, in a Slurm job `stop` or `requeue`, as the plan finds cheaper for each pause'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l preset -d 'What is known of a framework: signals, who gets them, waits' -r -f -a "plain\t'Any job: STOP and CONT to every process; TERM to the first one ends it'
torchrun\t'torchrun: USR1 to each rank, which saves and is then stopped; TERM to the launcher ends it'
lightning\t'PyTorch Lightning: USR1 to each rank, whose callback saves; INT to the first process ends it'
huggingface\t'Hugging Face Trainer, alone, by accelerate or torchrun: USR1 to each rank, whose callback saves'
submitit\t'submitit: USR2 to each task, which saves and leaves; INT to it ends it'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l max-stop -d 'Longest stop of a job that has not saved its state [default: 7m for several ranks, else none]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l checkpoint-signal -d 'How the job is asked to save its state [default: USR1, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l checkpoint-to -d 'Who of the job is asked to [default: leader, or the preset\'s]' -r -f -a "leader\t'The process that was started'
group\t'Its process group'
ranks\t'Each rank, not the launcher'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l checkpoint-path -d 'Proof of a save: a file that matches is new, or changed, and complete' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l checkpoint-line -d 'Proof of a save: a line that matches, where progress is read from' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l checkpoint-timeout -d 'How long a save may take' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l unproved -d 'What follows when nothing proves a save in time' -r -f -a "stop\t'Stop it all the same; it keeps its memory'
run\t'Let it run on'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l job-dir -d 'Directory that all nodes of a Slurm job share, by which their supervisors stop and go on together [default: the state directory]' -r -f -a "(__fish_complete_directories)"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l resume-args -d 'Arguments to add when a job that has left is started again, such as `--resume latest`' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l progress-from -d 'Where the job says how far it is: a file, `stdout` or `stderr` [default: its stdout, else its stderr, where that goes to a file]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand run" -l progress-pattern -d 'What progress looks like, with groups `done` and `total`, or `percent` [default: `step 120/9000`, tqdm, Lightning, Keras, Hugging Face]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l stop-signal -d 'How the job is asked to end by `catrain stop` [default: TERM, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l grace -d 'How long the job may take to end before it is killed [default: 30s, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l leftovers -d 'What becomes of processes that outlive the job\'s first one' -r -f -a "end\t'They have the grace period to end by themselves, then are ended'
leave\t'They run on'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l retries -d 'How often a job that fails is started again' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l retry-delay -d 'How long to wait before that; twice as long each time, with jitter' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l on-pause -d 'Run CMD by `sh -c` when the job is paused; CATRAIN_RUN, CATRAIN_EVENT and more tell it why' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l on-resume -d 'The same when it goes on' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l on-end -d 'The same when the run is over' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l power -d 'Power of the job while running, in watts, where nothing is measured' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l idle-power -d 'Power that stays on while paused, in watts' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l gpus -d 'GPUs to meter: indices, UUIDs or MIG ids, `all` or `none` [default: those that the job may see]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l share -d 'Whose energy is counted where others use the machine too [default: job]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l pue -d 'Facility energy divided by IT energy [default: IT equipment only]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l name -d 'Name for status and reports [default: the program\'s name]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l label -d 'Label for reports; may be repeated' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l summary -d 'What is printed at the end, to stderr' -r -f -a "text\t'A few lines'
json\t'One JSON document'
none\t'Nothing'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l summary-file -d 'Write the summary to a file as well' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand run" -l progress -d 'A countdown while held or paused' -r -f -a "auto\t'On a terminal'
always\t'Also elsewhere'
never\t'Never'"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l listen -d 'Serve health and metrics over HTTP: `9090`, `127.0.0.1:9090`, `[::1]:9090`; port 0 takes a free one' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l metrics-file -d 'Write metrics to a file now and then, by its ending: `.json`, `.prom` (the last look) or `.csv` (a row each time)' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand run" -l metrics-every -d 'How often' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l detached -d 'Started by `--detach`, with this file for the output' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand run" -l continues -d 'Started by `continue`, in the place of this run' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand run" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand run" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand run" -l offline -d 'Ask nobody: cache, files and built-in data only'
complete -c catrain -n "__fish_catrain_using_subcommand run" -l duration-exact -d 'The duration is sure: plan without a safety margin'
complete -c catrain -n "__fish_catrain_using_subcommand run" -l tty -d 'Give the job the controlling terminal (password prompts, shells); it may be held, never paused'
complete -c catrain -n "__fish_catrain_using_subcommand run" -l reserved -d 'The hardware is reserved for this run: its idle power counts while held'
complete -c catrain -n "__fish_catrain_using_subcommand run" -l listen-anywhere -d 'Let `--listen` take an address that other machines can reach; the token crosses the network'
complete -c catrain -n "__fish_catrain_using_subcommand run" -s D -l detach -d 'Supervise from a session of its own, with the output in a file: prints the run\'s id and returns'
complete -c catrain -n "__fish_catrain_using_subcommand run" -l submitted -d 'Inside a job that `slurm submit` has submitted'
complete -c catrain -n "__fish_catrain_using_subcommand run" -l keeper -d 'Started by the supervisor of a batch script, on each other node of its job'
complete -c catrain -n "__fish_catrain_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -s z -l zone -d 'Grid zone, such as DE or US-CAL-CISO; give it again to compare several' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -s s -l source -d 'Where intensities come from, in order of preference: a service\'s name, file:PATH, built-in' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l hours -d 'How far ahead to look, up to 168' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -s d -l duration -d 'How long the work takes: the cleanest windows of that length are listed' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l deadline -d 'Only windows that end by then: \'tomorrow 09:00\', \'2026-11-25 09:00\', +36h, RFC 3339' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l format -d 'How to print it' -r -f -a "table\t'For people'
json\t'One JSON document'
csv\t'Comma-separated values, with a header'"
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l offline -d 'Ask nobody: cache, files and built-in data only'
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l watch -d 'Go on and print it anew whenever there is something new, until Ctrl-C'
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -l score -d 'Instead: how good past forecasts of each source were, by what was kept of them'
complete -c catrain -n "__fish_catrain_using_subcommand forecast" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand report" -l since -d 'Only runs started at or after this time: 2026-11-24, \'2026-11-24 09:00\', or RFC 3339' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l until -d 'Only runs started before this time' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l format -d 'How it is written' -r -f -a "text\t'For people'
json\t'One JSON document, catrain.report/1'
csv\t'A row a segment'
html\t'One page to open in a browser'
md\t'For a paper\'s appendix'
codecarbon\t'The columns of codecarbon\'s emissions.csv'
prometheus\t'For a textfile collector or a push'"
complete -c catrain -n "__fish_catrain_using_subcommand report" -s o -l output -d 'Write to a file instead of standard output' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand report" -l by -d 'Add up by run, day, zone, job of Slurm\'s (an array is one), or the value of a label: run, day, zone, job, label:K' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l as-of -d 'As it was known at this time: intensities that became known later are left out' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l per -d 'Functional unit of the software carbon intensity (ISO/IEC 21031); needs --embodied as well, and --count unless it is `run`' -r -f -a "step\t'A step of training'
epoch\t'An epoch'
token\t'A token that was trained on'
run\t'The whole run'"
complete -c catrain -n "__fish_catrain_using_subcommand report" -l count -d 'How many of these units a run did' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l embodied -d 'Embodied emissions of the hardware, and over how many years they are spread: `1500kg/4`, or `table` for those of its GPUs that are known' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l head -d 'With --verify: the digest that was kept elsewhere' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l signed-by -d 'With --verify: the public key, in PEM, whose signature the head must have' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand report" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand report" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand report" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand report" -l offline -d 'Do not fetch intensities that became known since, and ask nobody'
complete -c catrain -n "__fish_catrain_using_subcommand report" -l compare-failed -d 'Compare with starting at once even where the job failed or was stopped'
complete -c catrain -n "__fish_catrain_using_subcommand report" -l full-command -d 'Show whole commands, secrets redacted, also in formats that are made to be shared'
complete -c catrain -n "__fish_catrain_using_subcommand report" -l verify -d 'Instead: check that records are complete and unchanged'
complete -c catrain -n "__fish_catrain_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l trace -d 'Past intensities: `datetime,carbon_intensity_gco2_per_kwh`; may be repeated' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l forecasts -d 'Forecasts as they were issued, with what came: `issued_at,target_time,forecast,actual`; a directory means all files in it' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l run -d 'One of your own runs, as it was recorded' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -s z -l zone -d 'Only this zone of the files; for one file, the zone that it is of; with --run, the zone to move the run to [default: by the files\' names]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l profiles -d 'Usual days in place of the built-in ones: `zone,month,hour_utc,mean`' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l horizon -d 'How far issued forecasts reach: `24h`, or `day`: to the end of the zone\'s local day' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l outage -d 'Times without news from the sources, such as `6h@3d`: six hours in every three days' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l jobs -d 'Jobs, a line each: `job_id,arrival,duration_minutes[,deadline][,power_w][,interruptible]`' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -s d -l duration -d 'Running time of the jobs; several make several cells' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l slack -d 'How much later than necessary each job is due; several make several cells [default: what a run without a deadline may take]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l every -d 'A job arrives so often' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l from -d 'Jobs arrive from here on (UTC) [default: where the data begins]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l until -d 'Jobs arrive before this (UTC) [default: where the data ends]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l duration-error -d 'Jobs take so much longer or shorter than was said, one or the other: `20%`' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l rate-noise -d 'Speed of a job from hour to hour, as a standard deviation: `2%`' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l seed -d 'Another draw of what is random' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l policy -d 'What is compared' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l power -d 'Power of a job while it runs, in watts [default: 300; with --run as recorded]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l idle-power -d 'Power that stays on while paused: watts, or a share of the job\'s: `30`, `10%` [default: 0; with --run as recorded]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l pause-cost -d 'Running time that a pause costs before the job stands' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l resume-cost -d 'Running time that a resume costs before there is progress' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l min-run -d 'Least time from a start or resume to the next pause' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l min-pause -d 'Least time paused' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l max-pauses -d 'Most pauses of a job [default: no limit]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l tick -d 'Time between two decisions, and the grid of oracle and k-lowest [default: the step of the data, 5m to 1h]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l start -d 'With --run: when it is started instead; may be repeated' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l format -d 'How it is printed' -r -f -a "table\t'For people'
json\t'One JSON document'
csv\t'Comma-separated values, with a header'"
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l plot -d 'Draw saved percent against slack, a line a policy' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l threads -d 'Threads to use; the results are the same for any number [default: one a core]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l no-learning -d 'Do not learn from past forecasts how far to trust them'
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l paired -d 'Pair the durations with the slacks one by one, instead of each with each'
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l unknown-duration -d 'Policies do not know how long jobs take; the slack is the most delay they are given'
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -l duration-exact -d 'Policies know the durations for sure and keep no margin'
complete -c catrain -n "__fish_catrain_using_subcommand simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand status" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand status" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand status" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand status" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand status" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand status" -l json -d 'One JSON document'
complete -c catrain -n "__fish_catrain_using_subcommand status" -l watch -d 'Go on and show it again whenever there is something new, until Ctrl-C'
complete -c catrain -n "__fish_catrain_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand pause" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand pause" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand pause" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand pause" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand pause" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand resume" -l for -d 'Only for this long, such as `2h`; then things are as before again' -r
complete -c catrain -n "__fish_catrain_using_subcommand resume" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand resume" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand resume" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand resume" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand resume" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand stop" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand stop" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand stop" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand stop" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand stop" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand reload" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand reload" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand reload" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand reload" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand reload" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand continue" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand continue" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand continue" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand continue" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand continue" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand continue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -s z -l zone -d 'Grid zone, as `catrain zones` lists them [default: guessed from the system\'s time zone]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -s s -l source -d 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l account-with -d 'Keep a second, complete account by another signal, such as `watttime`' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l replay -d 'Live out a recorded day: a trace file or a built-in zone, from TIME on' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l speed -d 'How many times faster the replayed day passes' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -s d -l duration -d 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l deadline -d 'Finish by: RFC 3339, `2026-11-25 09:00`, `tomorrow 09:00`, or `+36h`' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l max-delay -d 'Most time spent not progressing, in all; `0` never holds and never pauses [default: 12h with a duration, else half the time run so far]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l policy -d 'How to choose when to run' -r -f -a "plan\t'Least emissions within deadline and delay'
threshold\t'Run while the intensity is at or below a limit'
window\t'One uninterrupted run at the cleanest time'
budget\t'The earliest end within `--carbon-budget`'
now\t'At once, never paused'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l threshold -d 'For `threshold`: run at or below N g/kWh, or `p30`, a percentile of the next 24 h [default: p30]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l carbon-budget -d 'Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l on-budget -d 'What follows when the carbon budget is used up' -r -f -a "warn\t'Say so'
pause\t'Hold the job, as `catrain pause` does, until `catrain resume`'
stop\t'End the job, as `catrain stop` does'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l min-run -d 'Least time from a start or resume to the next pause' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l min-pause -d 'Least time paused' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l pause-with -d 'How the job is paused [default: stop, or the preset\'s]' -r -f -a "stop\t'Stop every process, and continue them later'
freeze\t'Freeze the job\'s control group; falls back to `stop` where that is not possible'
checkpoint\t'Have the job save its state, see the proof, then stop it'
restart\t'Have the job save its state and leave; start the command again later'
requeue\t'Have the job save its state, then put it back into Slurm\'s queue until it is to go on: its nodes are free meanwhile'
suspend\t'Have Slurm suspend the job, where you are an operator; `catrain slurm watch` does it'
auto\t'`stop` or `restart`, in a Slurm job `stop` or `requeue`, as the plan finds cheaper for each pause'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l preset -d 'What is known of a framework: signals, who gets them, waits' -r -f -a "plain\t'Any job: STOP and CONT to every process; TERM to the first one ends it'
torchrun\t'torchrun: USR1 to each rank, which saves and is then stopped; TERM to the launcher ends it'
lightning\t'PyTorch Lightning: USR1 to each rank, whose callback saves; INT to the first process ends it'
huggingface\t'Hugging Face Trainer, alone, by accelerate or torchrun: USR1 to each rank, whose callback saves'
submitit\t'submitit: USR2 to each task, which saves and leaves; INT to it ends it'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l max-stop -d 'Longest stop of a job that has not saved its state [default: 7m for several ranks, else none]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l checkpoint-signal -d 'How the job is asked to save its state [default: USR1, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l checkpoint-to -d 'Who of the job is asked to [default: leader, or the preset\'s]' -r -f -a "leader\t'The process that was started'
group\t'Its process group'
ranks\t'Each rank, not the launcher'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l checkpoint-path -d 'Proof of a save: a file that matches is new, or changed, and complete' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l checkpoint-line -d 'Proof of a save: a line that matches, where progress is read from' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l checkpoint-timeout -d 'How long a save may take' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l unproved -d 'What follows when nothing proves a save in time' -r -f -a "stop\t'Stop it all the same; it keeps its memory'
run\t'Let it run on'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l job-dir -d 'Directory that all nodes of a Slurm job share, by which their supervisors stop and go on together [default: the state directory]' -r -f -a "(__fish_complete_directories)"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l resume-args -d 'Arguments to add when a job that has left is started again, such as `--resume latest`' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l progress-from -d 'Where the job says how far it is: a file, `stdout` or `stderr` [default: its stdout, else its stderr, where that goes to a file]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l progress-pattern -d 'What progress looks like, with groups `done` and `total`, or `percent` [default: `step 120/9000`, tqdm, Lightning, Keras, Hugging Face]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l stop-signal -d 'How the job is asked to end by `catrain stop` [default: TERM, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l grace -d 'How long the job may take to end before it is killed [default: 30s, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l leftovers -d 'What becomes of processes that outlive the job\'s first one' -r -f -a "end\t'They have the grace period to end by themselves, then are ended'
leave\t'They run on'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l retries -d 'How often a job that fails is started again' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l retry-delay -d 'How long to wait before that; twice as long each time, with jitter' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l on-pause -d 'Run CMD by `sh -c` when the job is paused; CATRAIN_RUN, CATRAIN_EVENT and more tell it why' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l on-resume -d 'The same when it goes on' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l on-end -d 'The same when the run is over' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l power -d 'Power of the job while running, in watts, where nothing is measured' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l idle-power -d 'Power that stays on while paused, in watts' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l gpus -d 'GPUs to meter: indices, UUIDs or MIG ids, `all` or `none` [default: those that the job may see]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l share -d 'Whose energy is counted where others use the machine too [default: job]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l pue -d 'Facility energy divided by IT energy [default: IT equipment only]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l name -d 'Name for status and reports [default: the program\'s name]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l label -d 'Label for reports; may be repeated' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l summary -d 'What is printed at the end, to stderr' -r -f -a "text\t'A few lines'
json\t'One JSON document'
none\t'Nothing'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l summary-file -d 'Write the summary to a file as well' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l progress -d 'A countdown while held or paused' -r -f -a "auto\t'On a terminal'
always\t'Also elsewhere'
never\t'Never'"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l listen -d 'Serve health and metrics over HTTP: `9090`, `127.0.0.1:9090`, `[::1]:9090`; port 0 takes a free one' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l metrics-file -d 'Write metrics to a file now and then, by its ending: `.json`, `.prom` (the last look) or `.csv` (a row each time)' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l metrics-every -d 'How often' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l detached -d 'Started by `--detach`, with this file for the output' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l continues -d 'Started by `continue`, in the place of this run' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l offline -d 'Ask nobody: cache, files and built-in data only'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l duration-exact -d 'The duration is sure: plan without a safety margin'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l tty -d 'Give the job the controlling terminal (password prompts, shells); it may be held, never paused'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l reserved -d 'The hardware is reserved for this run: its idle power counts while held'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l listen-anywhere -d 'Let `--listen` take an address that other machines can reach; the token crosses the network'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -s D -l detach -d 'Supervise from a session of its own, with the output in a file: prints the run\'s id and returns'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l submitted -d 'Inside a job that `slurm submit` has submitted'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l keeper -d 'Started by the supervisor of a batch script, on each other node of its job'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -l force -d 'Pause it even if it shares its session with others, or has a terminal'
complete -c catrain -n "__fish_catrain_using_subcommand attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand logs" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand logs" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand logs" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand logs" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand logs" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand logs" -s f -l follow -d 'Go on until the run is over'
complete -c catrain -n "__fish_catrain_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand zones" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand zones" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand zones" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand zones" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand zones" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand zones" -l sources -d 'Instead: what each source can do'
complete -c catrain -n "__fish_catrain_using_subcommand zones" -l json -d 'Print one JSON document, `catrain.zones/1` or `catrain.sources/1`'
complete -c catrain -n "__fish_catrain_using_subcommand zones" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -f -a "set" -d 'Keep a key: typed without being shown, or from standard input'
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -f -a "list" -d 'Show which sources have a key, where and since when; no keys'
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -f -a "rotate" -d 'Replace a kept key; the one before it is tried once more should the new one be refused'
complete -c catrain -n "__fish_catrain_using_subcommand key; and not __fish_seen_subcommand_from set list rotate remove" -f -a "remove" -d 'Forget a kept key, and say where there still is one'
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from set" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from set" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from set" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from set" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from set" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from set" -l passphrase -d 'Seal it with a passphrase that is asked for, unless CATRAIN_PASSPHRASE is set'
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from list" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from list" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from list" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from list" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from list" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from list" -l json -d 'One JSON document, catrain.keys/1'
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from rotate" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from rotate" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from rotate" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from rotate" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from rotate" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from remove" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from remove" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from remove" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from remove" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from remove" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand key; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -f -a "show" -d 'Print what is in force, as a file would say it; no secrets'
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -f -a "check" -d 'Tell everything that is wrong with the files and variables, or with one file'
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -f -a "init" -d 'Write your own config.toml: every key in a comment, with what it means'
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -f -a "schema" -d 'Print a JSON Schema of the file, for editors'
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -f -a "history" -d 'List the versions of your own file that were in force, or print one'
complete -c catrain -n "__fish_catrain_using_subcommand config; and not __fish_seen_subcommand_from show check init schema history rollback" -f -a "rollback" -d 'Put a version that was in force before in the place of your own file'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l run -d 'What this live run goes by' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l origin -d 'Say of each value who set it, and where'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'One JSON document, catrain.config/1'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from check" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from check" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from check" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from check" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from init" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from init" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from init" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from init" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from init" -l print -d 'Print it instead'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from schema" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from schema" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from schema" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from schema" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from schema" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from history" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from history" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from history" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from history" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from history" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from history" -l json -d 'One JSON document, catrain.config-history/1'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from rollback" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from rollback" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from rollback" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from rollback" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from rollback" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand config; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -f -a "test" -d 'Send a test message over each channel, and say what came of it'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -f -a "list" -d 'Show what is not delivered yet, and why'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and not __fish_seen_subcommand_from test list retry" -f -a "retry" -d 'Try now to deliver what waits'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from test" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from test" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from test" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from test" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from test" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from test" -l offline -d 'Ask nobody: shows what is configured, sends nothing'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from list" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from list" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from list" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from list" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from list" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from list" -l json -d 'One JSON document, catrain.letters/1'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from retry" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from retry" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from retry" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from retry" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from retry" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from retry" -l offline -d 'Ask nobody'
complete -c catrain -n "__fish_catrain_using_subcommand alerts; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -s z -l zone -d 'The zone that runs will have [default: as for `run`]' -r
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -l offline -d 'Ask nobody'
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -l json -d 'One JSON document, `catrain.doctor/1`'
complete -c catrain -n "__fish_catrain_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -f -a "submit" -d 'Submit a job that begins when the grid is clean enough'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and not __fish_seen_subcommand_from submit watch" -f -a "watch" -d 'Move the begin times of submitted jobs as forecasts change'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -s z -l zone -d 'Grid zone, as `catrain zones` lists them [default: guessed from the system\'s time zone]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -s s -l source -d 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l account-with -d 'Keep a second, complete account by another signal, such as `watttime`' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l replay -d 'Live out a recorded day: a trace file or a built-in zone, from TIME on' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l speed -d 'How many times faster the replayed day passes' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -s d -l duration -d 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l deadline -d 'Finish by: RFC 3339, `2026-11-25 09:00`, `tomorrow 09:00`, or `+36h`' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l max-delay -d 'Most time spent not progressing, in all; `0` never holds and never pauses [default: 12h with a duration, else half the time run so far]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l policy -d 'How to choose when to run' -r -f -a "plan\t'Least emissions within deadline and delay'
threshold\t'Run while the intensity is at or below a limit'
window\t'One uninterrupted run at the cleanest time'
budget\t'The earliest end within `--carbon-budget`'
now\t'At once, never paused'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l threshold -d 'For `threshold`: run at or below N g/kWh, or `p30`, a percentile of the next 24 h [default: p30]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l carbon-budget -d 'Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l on-budget -d 'What follows when the carbon budget is used up' -r -f -a "warn\t'Say so'
pause\t'Hold the job, as `catrain pause` does, until `catrain resume`'
stop\t'End the job, as `catrain stop` does'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l min-run -d 'Least time from a start or resume to the next pause' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l min-pause -d 'Least time paused' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l pause-with -d 'How the job is paused [default: stop, or the preset\'s]' -r -f -a "stop\t'Stop every process, and continue them later'
freeze\t'Freeze the job\'s control group; falls back to `stop` where that is not possible'
checkpoint\t'Have the job save its state, see the proof, then stop it'
restart\t'Have the job save its state and leave; start the command again later'
requeue\t'Have the job save its state, then put it back into Slurm\'s queue until it is to go on: its nodes are free meanwhile'
suspend\t'Have Slurm suspend the job, where you are an operator; `catrain slurm watch` does it'
auto\t'`stop` or `restart`, in a Slurm job `stop` or `requeue`, as the plan finds cheaper for each pause'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l preset -d 'What is known of a framework: signals, who gets them, waits' -r -f -a "plain\t'Any job: STOP and CONT to every process; TERM to the first one ends it'
torchrun\t'torchrun: USR1 to each rank, which saves and is then stopped; TERM to the launcher ends it'
lightning\t'PyTorch Lightning: USR1 to each rank, whose callback saves; INT to the first process ends it'
huggingface\t'Hugging Face Trainer, alone, by accelerate or torchrun: USR1 to each rank, whose callback saves'
submitit\t'submitit: USR2 to each task, which saves and leaves; INT to it ends it'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l max-stop -d 'Longest stop of a job that has not saved its state [default: 7m for several ranks, else none]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l checkpoint-signal -d 'How the job is asked to save its state [default: USR1, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l checkpoint-to -d 'Who of the job is asked to [default: leader, or the preset\'s]' -r -f -a "leader\t'The process that was started'
group\t'Its process group'
ranks\t'Each rank, not the launcher'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l checkpoint-path -d 'Proof of a save: a file that matches is new, or changed, and complete' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l checkpoint-line -d 'Proof of a save: a line that matches, where progress is read from' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l checkpoint-timeout -d 'How long a save may take' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l unproved -d 'What follows when nothing proves a save in time' -r -f -a "stop\t'Stop it all the same; it keeps its memory'
run\t'Let it run on'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l job-dir -d 'Directory that all nodes of a Slurm job share, by which their supervisors stop and go on together [default: the state directory]' -r -f -a "(__fish_complete_directories)"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l resume-args -d 'Arguments to add when a job that has left is started again, such as `--resume latest`' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l progress-from -d 'Where the job says how far it is: a file, `stdout` or `stderr` [default: its stdout, else its stderr, where that goes to a file]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l progress-pattern -d 'What progress looks like, with groups `done` and `total`, or `percent` [default: `step 120/9000`, tqdm, Lightning, Keras, Hugging Face]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l stop-signal -d 'How the job is asked to end by `catrain stop` [default: TERM, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l grace -d 'How long the job may take to end before it is killed [default: 30s, or the preset\'s]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l leftovers -d 'What becomes of processes that outlive the job\'s first one' -r -f -a "end\t'They have the grace period to end by themselves, then are ended'
leave\t'They run on'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l retries -d 'How often a job that fails is started again' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l retry-delay -d 'How long to wait before that; twice as long each time, with jitter' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l on-pause -d 'Run CMD by `sh -c` when the job is paused; CATRAIN_RUN, CATRAIN_EVENT and more tell it why' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l on-resume -d 'The same when it goes on' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l on-end -d 'The same when the run is over' -r -f -a "(__fish_complete_command)"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l power -d 'Power of the job while running, in watts, where nothing is measured' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l idle-power -d 'Power that stays on while paused, in watts' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l gpus -d 'GPUs to meter: indices, UUIDs or MIG ids, `all` or `none` [default: those that the job may see]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l share -d 'Whose energy is counted where others use the machine too [default: job]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l pue -d 'Facility energy divided by IT energy [default: IT equipment only]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l name -d 'Name for status and reports [default: the program\'s name]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l label -d 'Label for reports; may be repeated' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l summary -d 'What is printed at the end, to stderr' -r -f -a "text\t'A few lines'
json\t'One JSON document'
none\t'Nothing'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l summary-file -d 'Write the summary to a file as well' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l progress -d 'A countdown while held or paused' -r -f -a "auto\t'On a terminal'
always\t'Also elsewhere'
never\t'Never'"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l listen -d 'Serve health and metrics over HTTP: `9090`, `127.0.0.1:9090`, `[::1]:9090`; port 0 takes a free one' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l metrics-file -d 'Write metrics to a file now and then, by its ending: `.json`, `.prom` (the last look) or `.csv` (a row each time)' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l metrics-every -d 'How often' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l detached -d 'Started by `--detach`, with this file for the output' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l continues -d 'Started by `continue`, in the place of this run' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l offline -d 'Ask nobody: cache, files and built-in data only'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l duration-exact -d 'The duration is sure: plan without a safety margin'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l tty -d 'Give the job the controlling terminal (password prompts, shells); it may be held, never paused'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l reserved -d 'The hardware is reserved for this run: its idle power counts while held'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l listen-anywhere -d 'Let `--listen` take an address that other machines can reach; the token crosses the network'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -s D -l detach -d 'Supervise from a session of its own, with the output in a file: prints the run\'s id and returns'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l submitted -d 'Inside a job that `slurm submit` has submitted'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l keeper -d 'Started by the supervisor of a batch script, on each other node of its job'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l json -d 'One JSON document, `catrain.slurm_submit/1`, in place of the job\'s number'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -l dry-run -d 'Submit nothing: print the command and the script'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from submit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l every -d 'How often to look' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l once -d 'Look once, and end'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -l json -d 'One JSON document a look, `catrain.slurm_watch/1`'
complete -c catrain -n "__fish_catrain_using_subcommand slurm; and __fish_seen_subcommand_from watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand completions" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand completions" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand completions" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand completions" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand completions" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c catrain -n "__fish_catrain_using_subcommand man" -l color -d 'Colours in what catrain says' -r -f -a "auto\t''
always\t''
never\t''"
complete -c catrain -n "__fish_catrain_using_subcommand man" -l profile -d 'Settings of this name, `[profile.NAME]` in a configuration, over those outside of it' -r
complete -c catrain -n "__fish_catrain_using_subcommand man" -l log-level -d 'Log what is done: off, error, warn, info or debug, also by module: `info,caller=debug` [default: nothing, with --log-file info]' -r
complete -c catrain -n "__fish_catrain_using_subcommand man" -l log-file -d 'Log to a file, readable by you alone and put aside as it grows [default: standard error]' -r -F
complete -c catrain -n "__fish_catrain_using_subcommand man" -l log-format -d 'How lines of the log look [default: text on a terminal, JSON elsewhere]' -r
complete -c catrain -n "__fish_catrain_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
