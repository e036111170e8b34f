"""Classic benchmark problems with reference optima.

Fixed and infinite horizons, discrete time and parameter estimation are here; those with a free final time are
in `problems.minimum_time` and re-exported. Every builder is entered into `BENCHMARKS`; one test solves them
all. Everything is dimensionless unless a docstring gives units.
"""

from __future__ import annotations

import casadi as ca
import numpy as np

import ocnet as oc
from problems.benchmarks import BENCHMARKS, Benchmark, benchmark
from problems.minimum_time import (
    bang_bang_oscillator,
    brachistochrone,
    double_integrator_minimum_time,
    goddard_rocket,
    particle_steering,
    zermelo,
)

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "alpha_pinene",
    "bang_bang_oscillator",
    "brachistochrone",
    "brock_mirman",
    "bryson_denham",
    "catalyst_mixing",
    "discounted_lqr",
    "discrete_lqr",
    "double_integrator_minimum_time",
    "goddard_rocket",
    "hypersensitive",
    "jacobson_lele",
    "lqr",
    "orbit_raising",
    "particle_steering",
    "ramsey",
    "rayleigh",
    "van_der_pol",
    "zermelo",
]

# ---------------------------------------------------------------------- fixed final time


@benchmark(0.192909298093169, "A. A. Feldbaum's problem; Bryson and Ho (1975), section 5.2", closed_form=True)
def lqr() -> oc.Problem:
    """State the scalar linear-quadratic regulator ẋ = −x + u, x(0) = 1, with cost ½∫₀¹ x² + u² dt.

    The Riccati equation gives sinh √2 / (2 (√2 cosh √2 + sinh √2)).
    """
    problem = oc.Problem("linear-quadratic regulator", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, -x + u)
    problem.minimize(stage=(x**2 + u**2) / 2)
    return problem


@benchmark(
    2.87352248669876,
    "Dynamics and cost of the CasADi examples (Andersson et al., Math. Prog. Comp. 11, 2019)",
)
def van_der_pol() -> oc.Problem:
    """State the van der Pol oscillator, driven to rest from (0, 1) in time 10 with a force in [−0.3, 1].

    The final state is free; the force starts on its lower bound. The reference solves the necessary
    conditions with u = −p₁/2 clipped to the bounds.
    """
    problem = oc.Problem("van der Pol", horizon=oc.Finite(10.0))
    x = problem.state("x", 2, initial=[0.0, 1.0])
    force = problem.control("force", lower=-0.3, upper=1.0)
    problem.dynamics(x, ca.vertcat((1 - x[1] ** 2) * x[0] - x[1] + force, x[0]))
    problem.minimize(stage=ca.sumsqr(x) + force**2)
    return problem


@benchmark(
    44.7209390846552,
    "H. Maurer and D. Augustin, in: Online Optimization of Large Scale Systems (Springer 2001), 17-55",
)
def rayleigh() -> oc.Problem:
    """State the Rayleigh problem (tunnel diode): from (−5, −5) to the origin in time 4.5 with |u| ≤ 1.

    The variant with both ends fixed and a bounded control (published: 44.7209), which is also example 4.6 of
    J. T. Betts, Practical Methods for Optimal Control (2010). Four contacts with the bounds.
    """
    problem = oc.Problem("Rayleigh", horizon=oc.Finite(4.5))
    x = problem.state("x", 2, initial=[-5.0, -5.0], final=[0.0, 0.0])
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, ca.vertcat(x[1], -x[0] + x[1] * (1.4 - 0.14 * x[1] ** 2) + 4 * u))
    problem.minimize(stage=u**2 + x[0] ** 2)
    return problem


@benchmark(
    4.0,
    "A. E. Bryson, W. F. Denham, S. E. Dreyfus, AIAA J. 1 (1963) 2544; Bryson and Ho (1975), 3.11",
    closed_form=True,
    refine_to=1e-7,  # a touched state constraint weighs tenfold in the cost
)
def bryson_denham() -> oc.Problem:
    """State the Bryson-Denham problem: turn back in unit time, no farther than 1/9 from the start.

    Unit velocity at the start, its opposite at the end, cost ½∫ u² dt.

    A second-order state constraint, active on [1/3, 2/3]. For a limit l ≤ 1/6 the optimum is 4/(9 l) = 4.
    """
    problem = oc.Problem("Bryson-Denham", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=0.0, final=0.0, upper=1 / 9)
    v = problem.state("v", initial=1.0, final=-1.0)
    u = problem.control("u")
    problem.dynamics(x, v)
    problem.dynamics(v, u)
    problem.minimize(stage=u**2 / 2)
    return problem


@benchmark(
    0.169820536338,
    "D. H. Jacobson and M. M. Lele, IEEE Trans. Automatic Control 14 (1969) 457-464, first-order example",
    needs_refinement=True,
)
def jacobson_lele() -> oc.Problem:
    """State the problem of Jacobson and Lele: a damped mass whose velocity has a moving limit.

    ẋ₁ = x₂, ẋ₂ = −x₂ + u, x₂ ≤ 8(t − ½)² − ½, x(0) = (0, −1), cost ∫₀¹ x₁² + x₂² + 0.005 u² dt. One
    constrained arc, roughly on [0.30, 0.70], whose ends are on no uniform mesh; the control is continuous
    there. Published values are near 0.1698.
    """
    problem = oc.Problem("Jacobson-Lele", horizon=oc.Finite(1.0))
    x = problem.state("x", 2, initial=[0.0, -1.0])
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[1], -x[1] + u))
    problem.constrain(x[1] - 8 * (problem.time - 0.5) ** 2, upper=-0.5, name="moving limit")
    problem.minimize(stage=ca.sumsqr(x) + 0.005 * u**2)
    return problem


@benchmark(
    -0.0480556858609,
    "R. Jackson, J. Optim. Theory Appl. 2 (1968) 240-259; problem 'catalyst mixing' of COPS 3.0 (2004)",
    needs_refinement=True,
)
def catalyst_mixing() -> oc.Problem:
    """State catalyst mixing: the best blend u of two catalysts along a reactor of unit length.

    COPS' scaling; the cost is −1 + x₁(1) + x₂(1), minus the yield of the third substance (COPS: −0.04806).
    The optimum is u = 1 until 0.1363, the constant singular 0.22714, and u = 0 from 0.7252.
    """
    problem = oc.Problem("catalyst mixing", horizon=oc.Finite(1.0))
    x = problem.state("x", 2, initial=[1.0, 0.0])
    u = problem.control("u", lower=0.0, upper=1.0)
    exchange = u * (10 * x[1] - x[0])
    problem.dynamics(x, ca.vertcat(exchange, -exchange - (1 - u) * x[1]))
    problem.minimize(terminal=-1 + x[0] + x[1])
    return problem


@benchmark(
    1.330806904943,
    "A. V. Rao and K. D. Mease, Optimal Control Appl. Methods 21 (2000) 1-19; ends as in GPOPS-II (2014)",
    closed_form=True,
    needs_refinement=True,
)
def hypersensitive() -> oc.Problem:
    """State the hypersensitive problem ẋ = −x³ + u, x(0) = 1.5, x(T) = 1, cost ½∫ x² + u² dt, for T = 10 000.

    Two boundary layers of unit width, and nothing in between: H = 0 gives p = −x³ ± x√(x⁴ + 1), so that up to
    e^{−T} the cost is [I(9/4) + I(1)]/2 − 1.5⁴/4 + 1/4 with I(s) = [s√(s² + 1) + asinh s]/2.
    """
    problem = oc.Problem("hypersensitive", horizon=oc.Finite(10_000.0))
    x = problem.state("x", initial=1.5, final=1.0)
    u = problem.control("u")
    problem.dynamics(x, -(x**3) + u)
    problem.minimize(stage=(x**2 + u**2) / 2)
    return problem


@benchmark(-1.525277700649, "Bryson and Ho (1975), section 2.5, example 2 (maximum-radius orbit transfer)")
def orbit_raising() -> oc.Problem:
    """State orbit raising: the largest circular orbit reached in a given time at constant low thrust.

    The cost is minus the final radius (book: 1.525). Unit radius, velocity and mass of the start; thrust
    0.1405, mass flow 0.0749, time 3.32 (193 days from the Earth's orbit). The control is the thrust's
    direction (radial, tangential), of norm at most 1: the optimum is on the unit circle.
    """
    problem = oc.Problem("orbit raising", horizon=oc.Finite(3.32))
    r = problem.state("radius", initial=1.0, lower=0.5)
    u = problem.state("radial velocity", initial=0.0, final=0.0)
    v = problem.state("tangential velocity", initial=1.0)
    direction = problem.control("direction", 2, lower=-1.0, upper=1.0)
    acceleration = 0.1405 / (1 - 0.0749 * problem.time)
    problem.dynamics(r, u)
    problem.dynamics(u, v**2 / r - 1 / r**2 + acceleration * direction[0])
    problem.dynamics(v, -u * v / r + acceleration * direction[1])
    problem.constrain(ca.sumsqr(direction), upper=1.0, name="unit thrust")
    problem.constrain(v**2 * r, lower=1.0, upper=1.0, at="final", name="circular orbit")
    problem.minimize(terminal=-r)
    return problem


# ---------------------------------------------------------------------- infinite horizon and discrete time


@benchmark(
    0.795174002153471,
    "B. D. O. Anderson and J. B. Moore, Optimal Control: Linear Quadratic Methods (1990), section 3.5",
    closed_form=True,
)
def discounted_lqr() -> oc.Problem:
    """State the discounted double integrator: cost ½∫₀^∞ e^{−t/10} (x₁² + x₂² + u²) dt from (1, 0).

    V = xᵀPx/2, where P solves the algebraic Riccati equation with A − I/20 in the place of A.
    """
    problem = oc.Problem("discounted double integrator", horizon=oc.Discounted(0.1))
    x = problem.state("x", 2, initial=[1.0, 0.0])
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[1], u))
    problem.minimize(stage=(ca.sumsqr(x) + u**2) / 2)
    return problem


@benchmark(
    -53.5492648243506,
    "W. T. Smith, A closed form solution to the Ramsey model, Contributions to Macroeconomics 6 (2006)",
    closed_form=True,
)
def ramsey() -> oc.Problem:
    """State Ramsey's growth model with the curvature of utility equal to the capital share α = 0.4.

    k̇ = k^α − 0.05 k − c, k(0) = 1, utility c^{1−α}/(1 − α) discounted at 0.04; the cost is minus the
    utility. Then c = φ k with φ = (ρ + (1 − α)δ)/α, and V(k) = −φ^{−α} (k^{1−α}/(1 − α) + 1/ρ).
    """
    share, decay = 0.4, 0.05
    problem = oc.Problem("Ramsey growth", horizon=oc.Discounted(0.04))
    capital = problem.state("capital", initial=1.0, lower=1e-2)
    consumption = problem.control("consumption", lower=1e-3)
    problem.dynamics(capital, capital**share - decay * capital - consumption)
    problem.minimize(stage=-(consumption ** (1 - share)) / (1 - share))
    return problem


@benchmark(
    3.73005506112533, "Riccati difference equation, e.g. Bryson and Ho (1975), section 6.4", closed_form=True
)
def discrete_lqr() -> oc.Problem:
    """State the sampled double integrator (step 1/4, zero-order hold) over 20 steps from (1, 0).

    Cost ½ Σ_{k<20} (|x_k|² + u_k²) + ½ |x₂₀|².
    """
    step = 0.25
    problem = oc.Problem("sampled double integrator", horizon=oc.Steps(20))
    x = problem.state("x", 2, initial=[1.0, 0.0])
    u = problem.control("u")
    problem.dynamics(x, ca.vertcat(x[0] + step * x[1] + step**2 / 2 * u, x[1] + step * u))
    problem.minimize(stage=(ca.sumsqr(x) + u**2) / 2, terminal=ca.sumsqr(x) / 2)
    return problem


@benchmark(
    11.6076775331376,
    "W. A. Brock and L. J. Mirman, J. Econ. Theory 4 (1972) 479-513; Stokey and Lucas (1989), exercise 2.2",
    closed_form=True,
)
def brock_mirman() -> oc.Problem:
    """State optimal growth in 20 discounted steps with logarithmic utility and capital that lasts one step.

    k' = s k^α with α = 0.3 and the saved share s, utility log((1 − s) k^α), weights 0.95^k, log(k^α) at the
    end (all is consumed), k₀ = 0.1; the cost is minus the utility. The optimal share is βb/(1 + βb) with b =
    α(1 + αβ + (αβ)² + …), one term for each remaining step.
    """
    share = 0.3
    problem = oc.Problem("Brock-Mirman growth", horizon=oc.Steps(20, discount=-np.log(0.95)))
    capital = problem.state("capital", initial=0.1, lower=1e-4)
    saved = problem.control("saved", lower=0.0, upper=0.99)
    problem.dynamics(capital, saved * capital**share)
    problem.minimize(stage=-ca.log(1 - saved) - share * ca.log(capital), terminal=-share * ca.log(capital))
    return problem


# ---------------------------------------------------------------------- parameter estimation

PINENE_TIMES = np.array([1230.0, 3060.0, 4920.0, 7800.0, 10680.0, 15030.0, 22620.0, 36420.0]) / 1e4
PINENE_YIELDS = np.array(
    [
        [88.35, 7.3, 2.3, 0.4, 1.75],
        [76.4, 15.6, 4.5, 0.7, 2.8],
        [65.1, 23.1, 5.3, 1.1, 5.8],
        [50.4, 32.9, 6.0, 1.5, 9.3],
        [37.5, 42.7, 6.0, 1.9, 12.0],
        [25.9, 49.1, 5.9, 2.2, 17.0],
        [14.0, 57.4, 5.1, 2.6, 21.0],
        [4.5, 63.1, 3.8, 2.9, 25.7],
    ]
)


@benchmark(
    19.8721669342473,
    "G. E. P. Box et al., Technometrics 15 (1973) 33-51; a problem of COPS 3.0 (Dolan, Moré, Munson 2004)",
)
def alpha_pinene() -> oc.Problem:
    """State the isomerisation of α-pinene: five rates from eight measurements of five concentrations.

    Concentrations in per cent by weight, time in 10⁴ min, rates in 10⁻⁴/min; y(0) = (100, 0, 0, 0, 0); the
    cost is the sum of the squared residuals (published: 19.872). No control: the rates are unknowns.
    """
    problem = oc.Problem("alpha-pinene", horizon=oc.Finite(float(PINENE_TIMES[-1])))
    y = problem.state("y", 5, initial=[100.0, 0.0, 0.0, 0.0, 0.0])
    rate = problem.unknown("rate", 5, lower=0.0, guess=[0.5, 0.5, 0.5, 0.5, 0.5])
    to_dimer = rate[3] * y[2] - rate[4] * y[4]
    problem.dynamics(
        y,
        ca.vertcat(
            -(rate[0] + rate[1]) * y[0],
            rate[0] * y[0],
            rate[1] * y[0] - rate[2] * y[2] - to_dimer,
            rate[2] * y[2],
            to_dimer,
        ),
    )
    for time, measured in zip(PINENE_TIMES, PINENE_YIELDS, strict=True):
        problem.cost_at(float(time), ca.sumsqr(y - ca.DM(measured)))
    return problem
