"""Make samples with a built-in recipe and read them.

python examples/01_quickstart.py [PROVIDER/MODEL]     without an argument: filler text, no key, no cost
"""

import sys

from synthtutor import run

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/any"

# The same call again resumes: no answered call is made or paid for twice.
result = run("misconception", models=model, n=40, out="runs/quickstart")

summary = result.summary
print(f"{summary.made} made, {summary.kept} kept, {summary.calls} calls, ${summary.cost_usd:.2f}")
print(f"the judge caught {summary.controls.caught} of {summary.controls.planted} planted defects")
for reason, count in summary.reasons[:3]:
    print(f"  dropped {count} times: {reason}")

for sample in result.samples():
    about, reply = sample["metadata"], sample["messages"][-1]["content"]
    print(f"\n{about['subject']}, {about['misconception_type']}, critical {about['critical']}")
    print(reply[:200])
