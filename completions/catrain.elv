
use builtin;
use str;

set edit:completion:arg-completer[catrain] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'catrain'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'catrain'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Run a command under carbon-aware supervision'
            cand forecast 'Show the intensity ahead and the cleanest windows'
            cand report 'Account for past runs: energy, emissions, what waiting avoided'
            cand simulate 'What policies would have saved on past intensities'
            cand status 'Show the runs of this user'
            cand pause 'Hold a run until `catrain resume`; the plan does not lift it'
            cand resume 'Let a held or paused run go on now'
            cand stop 'End a run: stop signal, then the grace period, then KILL'
            cand zones 'List the grid zones that are known'
            cand key 'Keep the keys of sources, encrypted'
            cand completions 'Print the completion script of a shell'
            cand man 'Write the manual pages'
        }
        &'catrain;run'= {
            cand -z 'Grid zone, as `catrain zones` lists them [default: guessed from the system''s time zone]'
            cand --zone 'Grid zone, as `catrain zones` lists them [default: guessed from the system''s time zone]'
            cand -s 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]'
            cand --source 'Sources in order of preference: `neso`, `energy-charts`, `energi-data-service`, `electricity-maps`, `watttime`, `carbon-aware-sdk`, `file:PATH` (a trace or issued forecasts), `built-in` [default: the configured chain, else those without a key that serve the zone]'
            cand --account-with 'Keep a second, complete account by another signal, such as `watttime`'
            cand --replay 'Live out a recorded day: a trace file or a built-in zone, from TIME on'
            cand --speed 'How many times faster the replayed day passes'
            cand -d 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]'
            cand --duration 'Uninterrupted running time of the whole job, such as `6h` or `2d 4h` [default: the median of the last five good runs of the same command here, else unknown]'
            cand --deadline 'Finish by: RFC 3339, `2026-11-25 09:00`, `tomorrow 09:00`, or `+36h`'
            cand --max-delay 'Most time spent not progressing, in all; `0` never holds and never pauses [default: 12h with a duration, else half the time run so far]'
            cand --policy 'How to choose when to run'
            cand --threshold 'For `threshold`: run at or below N g/kWh, or `p30`, a percentile of the next 24 h [default: p30]'
            cand --carbon-budget 'Emissions that the run may use, such as `800g` or `2kg`; warns at 80 and 100 %'
            cand --min-run 'Least time from a start or resume to the next pause'
            cand --min-pause 'Least time paused'
            cand --stop-signal 'How the job is asked to end by `catrain stop`'
            cand --grace 'How long the job may take to end before it is killed'
            cand --power 'Power of the job while running, in watts, where nothing is measured'
            cand --idle-power 'Power that stays on while paused, in watts'
            cand --gpus 'GPUs to meter: indices, UUIDs or MIG ids, `all` or `none` [default: those that the job may see]'
            cand --share 'Whose energy is counted where others use the machine too [default: job]'
            cand --pue 'Facility energy divided by IT energy [default: IT equipment only]'
            cand --name 'Name for status and reports [default: the program''s name]'
            cand --label 'Label for reports; may be repeated'
            cand --summary 'What is printed at the end, to stderr'
            cand --summary-file 'Write the summary to a file as well'
            cand --progress 'A countdown while held or paused'
            cand --color 'Colours in what catrain says'
            cand --offline 'Ask nobody: cache, files and built-in data only'
            cand --duration-exact 'The duration is sure: plan without a safety margin'
            cand --tty 'Give the job the controlling terminal (password prompts, shells); it may be held, never paused'
            cand --reserved 'The hardware is reserved for this run: its idle power counts while held'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'catrain;forecast'= {
            cand -z 'Grid zone, such as DE or US-CAL-CISO; give it again to compare several'
            cand --zone 'Grid zone, such as DE or US-CAL-CISO; give it again to compare several'
            cand -s 'Where intensities come from, in order of preference: a service''s name, file:PATH, built-in'
            cand --source 'Where intensities come from, in order of preference: a service''s name, file:PATH, built-in'
            cand --hours 'How far ahead to look, up to 168'
            cand -d 'How long the work takes: the cleanest windows of that length are listed'
            cand --duration 'How long the work takes: the cleanest windows of that length are listed'
            cand --deadline 'Only windows that end by then: ''tomorrow 09:00'', ''2026-11-25 09:00'', +36h, RFC 3339'
            cand --format 'How to print it'
            cand --color 'Colours in what catrain says'
            cand --offline 'Ask nobody: cache, files and built-in data only'
            cand --watch 'Go on and print it anew whenever there is something new, until Ctrl-C'
            cand --score 'Instead: how good past forecasts of each source were, by what was kept of them'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'catrain;report'= {
            cand --since 'Only runs started at or after this time: 2026-11-24, ''2026-11-24 09:00'', or RFC 3339'
            cand --until 'Only runs started before this time'
            cand --format 'How it is written'
            cand -o 'Write to a file instead of standard output'
            cand --output 'Write to a file instead of standard output'
            cand --by 'Add up by run, by day, by zone, or by the value of a label: run, day, zone, label:K'
            cand --as-of 'As it was known at this time: intensities that became known later are left out'
            cand --per 'Functional unit of the software carbon intensity (ISO/IEC 21031); needs --embodied as well, and --count unless it is `run`'
            cand --count 'How many of these units a run did'
            cand --embodied 'Embodied emissions of the hardware, and over how many years they are spread: `1500kg/4`, or `table` for those of its GPUs that are known'
            cand --head 'With --verify: the digest that was kept elsewhere'
            cand --signed-by 'With --verify: the public key, in PEM, whose signature the head must have'
            cand --color 'Colours in what catrain says'
            cand --offline 'Do not fetch intensities that became known since, and ask nobody'
            cand --compare-failed 'Compare with starting at once even where the job failed or was stopped'
            cand --full-command 'Show whole commands, secrets redacted, also in formats that are made to be shared'
            cand --verify 'Instead: check that records are complete and unchanged'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'catrain;simulate'= {
            cand --trace 'Past intensities: `datetime,carbon_intensity_gco2_per_kwh`; may be repeated'
            cand --forecasts 'Forecasts as they were issued, with what came: `issued_at,target_time,forecast,actual`; a directory means all files in it'
            cand --run 'One of your own runs, as it was recorded'
            cand -z 'Only this zone of the files; for one file, the zone that it is of; with --run, the zone to move the run to [default: by the files'' names]'
            cand --zone 'Only this zone of the files; for one file, the zone that it is of; with --run, the zone to move the run to [default: by the files'' names]'
            cand --profiles 'Usual days in place of the built-in ones: `zone,month,hour_utc,mean`'
            cand --horizon 'How far issued forecasts reach: `24h`, or `day`: to the end of the zone''s local day'
            cand --outage 'Times without news from the sources, such as `6h@3d`: six hours in every three days'
            cand --jobs 'Jobs, a line each: `job_id,arrival,duration_minutes[,deadline][,power_w][,interruptible]`'
            cand -d 'Running time of the jobs; several make several cells'
            cand --duration 'Running time of the jobs; several make several cells'
            cand --slack 'How much later than necessary each job is due; several make several cells [default: what a run without a deadline may take]'
            cand --every 'A job arrives so often'
            cand --from 'Jobs arrive from here on (UTC) [default: where the data begins]'
            cand --until 'Jobs arrive before this (UTC) [default: where the data ends]'
            cand --duration-error 'Jobs take so much longer or shorter than was said, one or the other: `20%`'
            cand --rate-noise 'Speed of a job from hour to hour, as a standard deviation: `2%`'
            cand --seed 'Another draw of what is random'
            cand --policy 'What is compared'
            cand --power 'Power of a job while it runs, in watts [default: 300; with --run as recorded]'
            cand --idle-power 'Power that stays on while paused: watts, or a share of the job''s: `30`, `10%` [default: 0; with --run as recorded]'
            cand --pause-cost 'Running time that a pause costs before the job stands'
            cand --resume-cost 'Running time that a resume costs before there is progress'
            cand --min-run 'Least time from a start or resume to the next pause'
            cand --min-pause 'Least time paused'
            cand --max-pauses 'Most pauses of a job [default: no limit]'
            cand --tick 'Time between two decisions, and the grid of oracle and k-lowest [default: the step of the data, 5m to 1h]'
            cand --start 'With --run: when it is started instead; may be repeated'
            cand --format 'How it is printed'
            cand --plot 'Draw saved percent against slack, a line a policy'
            cand --threads 'Threads to use; the results are the same for any number [default: one a core]'
            cand --color 'Colours in what catrain says'
            cand --no-learning 'Do not learn from past forecasts how far to trust them'
            cand --paired 'Pair the durations with the slacks one by one, instead of each with each'
            cand --unknown-duration 'Policies do not know how long jobs take; the slack is the most delay they are given'
            cand --duration-exact 'Policies know the durations for sure and keep no margin'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'catrain;status'= {
            cand --color 'Colours in what catrain says'
            cand --json 'One JSON document'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;pause'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;resume'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;stop'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;zones'= {
            cand --color 'Colours in what catrain says'
            cand --sources 'Instead: what each source can do'
            cand --json 'Print one JSON document, `catrain.zones/1` or `catrain.sources/1`'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;key'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand set 'Keep a key: typed without being shown, or from standard input'
            cand list 'Show which sources have a key, where and since when; no keys'
            cand rotate 'Replace a kept key; the one before it is tried once more should the new one be refused'
            cand remove 'Forget a kept key, and say where there still is one'
        }
        &'catrain;key;set'= {
            cand --color 'Colours in what catrain says'
            cand --passphrase 'Seal it with a passphrase that is asked for, unless CATRAIN_PASSPHRASE is set'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;key;list'= {
            cand --color 'Colours in what catrain says'
            cand --json 'One JSON document, catrain.keys/1'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;key;rotate'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;key;remove'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;completions'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'catrain;man'= {
            cand --color 'Colours in what catrain says'
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
