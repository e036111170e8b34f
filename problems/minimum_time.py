"""Classic benchmark problems whose final time is free.

Everything is dimensionless unless a docstring gives units.
"""

from __future__ import annotations

import math

import casadi as ca

import ocnet as oc
from problems.benchmarks import benchmark


@benchmark(
    1.80160312245308,
    "Joh. Bernoulli, Acta Eruditorum (1696); in the numbers of the Dymos documentation",
    closed_form=True,
)
def brachistochrone() -> oc.Problem:
    """State the brachistochrone: the fastest slide from (0, 10) to (10, 5) under gravity.

    Lengths in m, time in s, g = 9.80665 m/s². The control is the angle of the path from the downward
    vertical. The optimum is the cycloid x = r(θ − sin θ), drop r(1 − cos θ): tf = θ√(r/g), where
    θ − sin θ = 2(1 − cos θ) (Dymos: 1.8016). The guess has a speed: at rest no direction leads on.
    """
    problem = oc.Problem("brachistochrone", horizon=oc.FreeTime(0.5, 10.0, guess=2.0))
    problem.guess = {"speed": 5.0}
    position = problem.state("position", 2, initial=[0.0, 10.0], final=[10.0, 5.0])
    speed = problem.state("speed", initial=0.0)
    angle = problem.control("angle", lower=0.0, upper=math.pi)
    problem.dynamics(position, speed * ca.vertcat(ca.sin(angle), -ca.cos(angle)))
    problem.dynamics(speed, 9.80665 * ca.cos(angle))
    problem.minimize(terminal=problem.time)
    return problem


@benchmark(
    5.45786526356051,
    "A. E. Bryson and Y.-C. Ho, Applied Optimal Control (1975), section 2.7 (Zermelo's problem)",
    closed_form=True,
)
def zermelo() -> oc.Problem:
    """State Zermelo's navigation problem: a ship in a current reaches the origin in least time.

    Speed 1 through the water, current (−y, 0). Lengths in h, speeds in V, time in h/V; the start (3.66,
    −1.86) is the book's. The control is the heading. On the optimum tan θ grows linearly in time, from θ =
    105° to 240° (book: tf = 5.46).
    """
    problem = oc.Problem("Zermelo's navigation", horizon=oc.FreeTime(1.0, 20.0, guess=6.0))
    x = problem.state("x", 2, initial=[3.66, -1.86], final=[0.0, 0.0])
    heading = problem.control("heading", lower=0.0, upper=2 * math.pi)
    problem.dynamics(x, ca.vertcat(ca.cos(heading) - x[1], ca.sin(heading)))
    problem.minimize(terminal=problem.time)
    return problem


@benchmark(
    0.554570878334603,
    "Bryson and Ho (1975), section 2.4; problem 'particle steering' of COPS 3.0 (Dolan, Moré, Munson 2004)",
    closed_form=True,
)
def particle_steering() -> oc.Problem:
    """State particle steering: reach height 5 and velocity (45, 0) from rest in least time.

    The acceleration is 100; the control is the direction of the thrust. The optimum follows the linear
    tangent law tan θ = b(1 − 2t/tf) (COPS: tf = 0.554571).
    """
    problem = oc.Problem("particle steering", horizon=oc.FreeTime(0.1, 5.0, guess=1.0))
    position = problem.state("position", 2, initial=[0.0, 0.0], final=[None, 5.0])
    velocity = problem.state("velocity", 2, initial=[0.0, 0.0], final=[45.0, 0.0])
    angle = problem.control("angle", lower=-math.pi / 2, upper=math.pi / 2)
    problem.dynamics(position, velocity)
    problem.dynamics(velocity, 100 * ca.vertcat(ca.cos(angle), ca.sin(angle)))
    problem.minimize(terminal=problem.time)
    return problem


@benchmark(
    1 + math.sqrt(6),
    "M. Athans and P. L. Falb, Optimal Control (1966), chapter 7; Bryson and Ho (1975), section 3.9",
    closed_form=True,
    needs_refinement=True,
)
def double_integrator_minimum_time() -> oc.Problem:
    """State the minimum-time double integrator: from (1, 1) to rest at the origin with |u| ≤ 1.

    From (x, v) above the switching curve, tf = v + √(4x + 2v²) = 1 + √6, with one switch from −1 to 1 at
    1 + √(3/2): 64.5 % of tf, on no uniform mesh of moderate size.
    """
    problem = oc.Problem("double integrator, minimum time", horizon=oc.FreeTime(0.5, 20.0, guess=4.0))
    x = problem.state("x", 2, initial=[1.0, 1.0], final=[0.0, 0.0])
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, ca.vertcat(x[1], u))
    problem.minimize(terminal=problem.time)
    return problem


@benchmark(
    2 * math.pi + math.atan(1 / 2) + math.atan(math.sqrt(55) / 35) - math.acos(3 / 8),
    "L. S. Pontryagin et al., The Mathematical Theory of Optimal Processes (1962), section 5, example 2",
    closed_form=True,
    needs_refinement=True,
)
def bang_bang_oscillator() -> oc.Problem:
    """State the minimum-time harmonic oscillator: from (3, 2) to rest at the origin with |u| ≤ 1.

    ẍ = −x + u. In the phase plane u = ±1 turns clockwise about (±1, 0) with unit angular speed. From (3, 2)
    the control is −1, +1 for half a turn, −1: tf = 2π + atan(1/2) + atan(√55/35) − acos(3/8). The book's
    problem; the start is chosen here to have two switches.
    """
    problem = oc.Problem("harmonic oscillator, minimum time", horizon=oc.FreeTime(1.0, 20.0, guess=6.0))
    x = problem.state("x", 2, initial=[3.0, 2.0], final=[0.0, 0.0])
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, ca.vertcat(x[1], -x[0] + u))
    problem.minimize(terminal=problem.time)
    return problem


@benchmark(
    -1.0128369183175,
    "Problem 'Goddard rocket' of COPS 3.0 (Dolan, Moré, Munson 2004); R. H. Goddard (1919)",
    needs_refinement=True,
    refine_to=1e-8,
)
def goddard_rocket() -> oc.Problem:
    """State the Goddard rocket: the greatest height with the fuel given; the cost is minus that height.

    COPS' scaling: height in units of the Earth's radius h₀, mass in initial masses, gravity 1/h²; drag 310 v²
    exp(−500 (h − 1)), exhaust velocity c = 1/2, thrust at most 3.5, final mass 0.6. The optimum is full
    thrust, a singular arc on m g = D (1 + v/c), then a coast to v = 0 (COPS: height 1.01283).
    """
    problem = oc.Problem("Goddard rocket", horizon=oc.FreeTime(0.02, 1.0, guess=0.2))
    height = problem.state("height", initial=1.0, lower=1.0)
    speed = problem.state("speed", initial=0.0, lower=0.0)
    mass = problem.state("mass", initial=1.0, final=0.6, lower=0.6, upper=1.0)
    thrust = problem.control("thrust", lower=0.0, upper=3.5)
    drag = 310 * speed**2 * ca.exp(-500 * (height - 1))
    problem.dynamics(height, speed)
    problem.dynamics(speed, (thrust - drag) / mass - 1 / height**2)
    problem.dynamics(mass, -2 * thrust)
    problem.minimize(terminal=-height)
    return problem
