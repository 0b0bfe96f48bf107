"""HumanEval's own check of its canonical solutions: a process for each problem, `width` at a time, each with a timeout."""
import json, multiprocessing, sys, time


def check(problem):
    space = {}
    exec(problem["prompt"] + problem["canonical_solution"] + problem["test"], space)
    space["check"](space[problem["entry_point"]])
    return True


def main():
    with open(sys.argv[1]) as file:
        problems = [json.loads(line) for line in file]
    start = time.monotonic()
    with multiprocessing.Pool(int(sys.argv[2]), maxtasksperchild=1) as pool:
        passed = sum(one.get(30) for one in [pool.apply_async(check, (problem,)) for problem in problems])
    print(json.dumps({"passed": passed, "millis": (time.monotonic() - start) * 1000}))


if __name__ == "__main__":
    main()
