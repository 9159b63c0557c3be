"""The literature behind the statistics, as BibTeX: only what these results use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from featreport.results.schema import Activation, Results, Weight


@dataclass(frozen=True)
class Reference:
    """One entry of the bibliography: its key, and its text."""

    key: str
    bibtex: str


HU = Reference(
    "hu2016network",
    """@misc{hu2016network,
  author        = {Hu, Hengyuan and Peng, Rui and Tai, Yu-Wing and Tang, Chi-Keung},
  title         = {Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures},
  year          = {2016},
  eprint        = {1607.03250},
  archivePrefix = {arXiv},
  note          = {arXiv:1607.03250}
}""",
)
SOKAR = Reference(
    "sokar2023dormant",
    """@inproceedings{sokar2023dormant,
  author    = {Sokar, Ghada and Agarwal, Rishabh and Castro, Pablo Samuel and Evci, Utku},
  title     = {The Dormant Neuron Phenomenon in Deep Reinforcement Learning},
  booktitle = {Proceedings of the 40th International Conference on Machine Learning},
  series    = {Proceedings of Machine Learning Research},
  volume    = {202},
  pages     = {32145--32168},
  year      = {2023},
  note      = {arXiv:2302.12902}
}""",
)
ROY = Reference(
    "roy2007effective",
    """@inproceedings{roy2007effective,
  author    = {Roy, Olivier and Vetterli, Martin},
  title     = {The Effective Rank: A Measure of Effective Dimensionality},
  booktitle = {15th European Signal Processing Conference (EUSIPCO)},
  pages     = {606--610},
  year      = {2007}
}""",
)
SUN = Reference(
    "sun2024massive",
    """@inproceedings{sun2024massive,
  author    = {Sun, Mingjie and Chen, Xinlei and Kolter, J. Zico and Liu, Zhuang},
  title     = {Massive Activations in Large Language Models},
  booktitle = {First Conference on Language Modeling (COLM)},
  year      = {2024},
  note      = {arXiv:2402.17762}
}""",
)
LIU = Reference(
    "liu2017slimming",
    """@inproceedings{liu2017slimming,
  author    = {Liu, Zhuang and Li, Jianguo and Shen, Zhiqiang and Huang, Gao and Yan, Shoumeng and Zhang, Changshui},
  title     = {Learning Efficient Convolutional Networks through Network Slimming},
  booktitle = {Proceedings of the IEEE International Conference on Computer Vision (ICCV)},
  pages     = {2736--2744},
  year      = {2017},
  note      = {arXiv:1708.06519}
}""",
)
MARTIN = Reference(
    "martin2021implicit",
    """@article{martin2021implicit,
  author  = {Martin, Charles H. and Mahoney, Michael W.},
  title   = {Implicit Self-Regularization in Deep Neural Networks: Evidence from Random Matrix Theory and
             Implications for Learning},
  journal = {Journal of Machine Learning Research},
  volume  = {22},
  number  = {165},
  pages   = {1--73},
  year    = {2021}
}""",
)
CLAUSET = Reference(
    "clauset2009power",
    """@article{clauset2009power,
  author  = {Clauset, Aaron and Shalizi, Cosma Rohilla and Newman, M. E. J.},
  title   = {Power-Law Distributions in Empirical Data},
  journal = {SIAM Review},
  volume  = {51},
  number  = {4},
  pages   = {661--703},
  year    = {2009}
}""",
)
CLOPPER = Reference(
    "clopper1934confidence",
    """@article{clopper1934confidence,
  author  = {Clopper, C. J. and Pearson, E. S.},
  title   = {The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial},
  journal = {Biometrika},
  volume  = {26},
  number  = {4},
  pages   = {404--413},
  year    = {1934}
}""",
)
PASZKE = Reference(
    "paszke2019pytorch",
    r"""@inproceedings{paszke2019pytorch,
  author    = {Paszke, Adam and Gross, Sam and Massa, Francisco and Lerer, Adam and Bradbury, James and Chanan, Gregory
               and Killeen, Trevor and Lin, Zeming and Gimelshein, Natalia and Antiga, Luca and Desmaison, Alban and
               K{\"o}pf, Andreas and Yang, Edward and DeVito, Zachary and Raison, Martin and Tejani, Alykhan and
               Chilamkurthy, Sasank and Steiner, Benoit and Fang, Lu and Bai, Junjie and Chintala, Soumith},
  title     = {{PyTorch}: An Imperative Style, High-Performance Deep Learning Library},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {32},
  pages     = {8024--8035},
  year      = {2019}
}""",
)


def featreport(version: str) -> Reference:
    """Return the entry of the program itself; `version` is LaTeX."""
    text = (
        "@misc{featreport,\n  author = {{The featreport authors}},\n  title  = {{featreport}: what do these "
        f"checkpoints contain, and what do they do to these images?}},\n  note   = {{Software, version {version}}}\n}}"
    )
    return Reference("featreport", text)


_ACTIVATIONS: tuple[tuple[Reference, Callable[[Activation], bool]], ...] = (
    (HU, lambda tap: tap.rectifier and tap.zero_fraction is not None),
    (CLOPPER, lambda tap: tap.firing_rate_bound is not None),
    (SOKAR, lambda tap: tap.dormant is not None),
    (ROY, lambda tap: tap.effective_rank is not None),
    (SUN, lambda tap: tap.massive is not None),
)


def used(results: Results) -> tuple[Reference, ...]:
    """Return the literature of the statistics that have a value somewhere in these results."""
    taps = [tap for run in results.runs for tap in run.activations]
    tensors: list[Weight] = [tensor for run in results.runs for tensor in run.weights]
    found = [reference for reference, has in _ACTIVATIONS if any(map(has, taps))]
    if any(norm.small_scale is not None for run in results.runs for norm in run.norms):
        found.append(LIU)
    if any(tensor.alpha is not None for tensor in tensors):
        found += [MARTIN, CLAUSET]
    if "torch" in results.provenance.versions:
        found.append(PASZKE)
    return tuple(found)
